// `waybill fleet`: lists the processes that report a heartbeat. `waybill fleet advise` shows how many workers each queue needs, and why;
// `fleet quiet|resume ID` stops and starts the claims of one process.

import type { Command } from 'commander';
import { goOn, quiet } from '../../acts/fleet.ts';
import { databaseToName } from '../../config/databases.ts';
import { textOfMoment } from '../../db/moment.ts';
import { readPauseEnd } from '../../operate/pause.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { single } from '../options.ts';
import { listDeploys, type Deploy } from '../../process/deploys.ts';
import { fleet, type ProcessSeen } from '../../process/heartbeat.ts';
import { readAdvice } from '../../scale/decisions.ts';
import { print, say, table, type Output } from '../print.ts';
import { onEachDatabase } from '../each-database.ts';
import { withDatabase } from '../session.ts';

export function addFleet(program: Command): void {
  const command = program
    .command('fleet')
    .description('the processes of the fleet')
    .option('--json', 'the result as JSON')
    .option('--database <name>', 'the one of WAYBILL_DATABASES, where there are several', single)
    .action(async (options: Output) => {
      await onEachDatabase(
        async ({ db }) => ({ processes: await fleet(db), deploys: await listDeploys(db) }),
        { options, lines: fleetLines, goOn: true },
      );
    });
  addQuiet(command);
  addAdvise(command);
}

type Fleet = { readonly processes: readonly ProcessSeen[]; readonly deploys: readonly Deploy[] };

function fleetLines({ processes, deploys }: Fleet): string[] {
  const gone = processes.filter(({ state }) => state === 'gone');
  return [
    ...seen(processes.filter(({ state }) => state !== 'gone')),
    ...(gone.length === 0 ? [] : ['', 'gone without a word:', ...seen(gone)]),
    ...(deploys.length === 0 ? [] : ['', ...deployLines(deploys)]),
  ];
}

function deployLines(deploys: readonly Deploy[]): string[] {
  return table(
    ['BEGAN', 'APPLICATION', 'VERSION'],
    deploys.map(({ at, application, version }) => [textOfMoment(at), application ?? '–', version]),
  );
}

type QuietOptions = ActorOptions & { readonly until?: string; readonly for?: string };

function addQuiet(parent: Command): void {
  addActor(parent.command('quiet'), 'for those who find it quiet, and the audit')
    .description('a process claims nothing more, and finishes what it has')
    .argument('<id>', 'id of the process')
    .option('--until <time>', 'it goes on at this time, such as 2026-12-01T08:00Z', single)
    .option('--for <duration>', 'it goes on after this time, such as 30m or 2h', single)
    .action(async (id: string, options: QuietOptions, command: Command) => {
      const [actor, end] = [actorOf(options), readPauseEnd(options)];
      await withDatabase(async ({ db, config }) => {
        const one = await quiet(db, actor, id, end);
        print(one, command.optsWithGlobals<Output>(), () => seen([one]));
        const database = databaseToName(config);
        if (database !== null)
          say(`it claims nothing more from the database ${database}; from the others it goes on`);
      });
    });
  addActor(parent.command('resume'))
    .description('a process that was quieted claims again')
    .argument('<id>', 'id of the process')
    .action(async (id: string, options: ActorOptions, command: Command) => {
      const one = await withDatabase(({ db }) => goOn(db, actorOf(options), id));
      print(one, command.optsWithGlobals<Output>(), () => seen([one]));
    });
}

function stateOf({ state, stalled, isolating, quiet: quieted }: ProcessSeen): string {
  const until = quieted?.until ? ` until ${textOfMoment(quieted.until)}` : '';
  return [
    state,
    ...(stalled.length > 0 ? [`${stalled.join(' and ')} stalled`] : []),
    ...(isolating > 0 ? ['isolating'] : []),
    ...(quieted ? [`quiet${until} by ${quieted.by}`] : []),
  ].join(', ');
}

function seen(processes: readonly ProcessSeen[]): string[] {
  const ofWorker = ({ slots }: ProcessSeen, figure: string): string => (slots === 0 ? '-' : figure);
  return table(
    [
      'ROLE',
      'HOST',
      'PID',
      'VERSION',
      'APPLICATION',
      'STATE',
      'HEARTBEAT',
      'RUNNING',
      'PREFETCHED',
      'SETTLING',
      'QUEUES',
      'ID',
    ],
    processes.map((row) => [
      row.role,
      row.host,
      String(row.pid),
      row.version,
      row.application ?? '–',
      stateOf(row),
      `${row.heartbeatAgeSeconds.toFixed(1)} s ago`,
      ofWorker(row, `${row.running}/${row.slots}`),
      ofWorker(row, String(row.prefetched)),
      ofWorker(row, String(row.settling)),
      row.queues.join(','),
      row.id,
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
