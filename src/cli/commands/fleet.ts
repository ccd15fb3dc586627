// `waybill fleet`: the processes that report themselves.

import type { Command } from 'commander';
import { fleet } from '../../process/heartbeat.ts';
import { print, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

export function addFleet(program: Command): void {
  program
    .command('fleet')
    .description('the processes of the fleet')
    .option('--json', 'the result as JSON')
    .action(async (options: Output) => {
      const processes = await withDatabase(({ db }) => fleet(db));
      print({ processes }, options, () =>
        table(
          ['ROLE', 'HOST', 'PID', 'VERSION', 'HEARTBEAT', 'BUSY', 'QUEUES'],
          processes.map((row) => [
            row.role,
            row.host,
            String(row.pid),
            row.version,
            `${row.heartbeatAgeSeconds.toFixed(1)} s ago`,
            row.slots === 0 ? '-' : `${row.busy}/${row.slots}`,
            row.queues.join(','),
          ]),
        ),
      );
    });
}
