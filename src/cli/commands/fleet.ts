// `waybill fleet`: lists the processes that report a heartbeat. `waybill fleet advise` shows how many workers each queue needs, and why.

import type { Command } from 'commander';
import { fleet, type ProcessSeen } from '../../process/heartbeat.ts';
import { readAdvice } from '../../scale/decisions.ts';
import { print, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

export function addFleet(program: Command): void {
  const command = program
    .command('fleet')
    .description('the processes of the fleet')
    .option('--json', 'the result as JSON')
    .action(async (options: Output) => {
      const processes = await withDatabase(({ db }) => fleet(db));
      const gone = processes.filter(({ state }) => state === 'gone');
      print({ processes }, options, () => [
        ...seen(processes.filter(({ state }) => state !== 'gone')),
        ...(gone.length === 0 ? [] : ['', 'gone without a word:', ...seen(gone)]),
      ]);
    });
  addAdvise(command);
}

function seen(processes: readonly ProcessSeen[]): string[] {
  const ofWorker = ({ slots }: ProcessSeen, figure: string): string => (slots === 0 ? '-' : figure);
  return table(
    ['ROLE', 'HOST', 'PID', 'VERSION', 'STATE', 'HEARTBEAT', 'RUNNING', 'PREFETCHED', 'SETTLING', 'QUEUES'],
    processes.map((row) => [
      row.role,
      row.host,
      String(row.pid),
      row.version,
      row.isolating > 0 ? `${row.state}, isolating` : row.state,
      `${row.heartbeatAgeSeconds.toFixed(1)} s ago`,
      ofWorker(row, `${row.running}/${row.slots}`),
      ofWorker(row, String(row.prefetched)),
      ofWorker(row, String(row.settling)),
      row.queues.join(','),
    ]),
  );
}

function addAdvise(parent: Command): void {
  parent
    .command('advise')
    .description('how many workers each queue needs, and why')
    .action(async (_: Output, command: Command) => {
      const queues = await withDatabase(({ db }) => readAdvice(db));
      print({ queues }, command.optsWithGlobals<Output>(), () => [
        ...table(
          ['QUEUE', 'WORKERS', 'RECOMMENDED', 'BACKLOG', 'DECIDED'],
          queues.map(({ queue, workers, recommended, backlog, ageSeconds }) => [
            queue,
            String(workers),
            String(recommended),
            String(backlog),
            `${ageSeconds.toFixed(0)} s ago`,
          ]),
        ),
        ...queues.flatMap(({ queue, reasons }) => ['', `${queue}:`, ...reasons.map((line) => `  ${line}`)]),
      ]);
    });
}
