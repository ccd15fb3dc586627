// `waybill queues list|pause|resume`: shows, closes and opens queues, for the whole fleet.

import { hostname, userInfo } from 'node:os';
import type { Command } from 'commander';
import { textOfMoment } from '../../db/moment.ts';
import { listQueues, pauseQueue, resumeQueue, type QueueView } from '../../queues/queues.ts';
import { single } from '../options.ts';
import { print, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

export function addQueues(program: Command): void {
  const queues = program.command('queues').description('see and control what queues of the fleet may do');
  queues
    .command('list')
    .description('every queue, what holds it back and how much waits in it')
    .option('--json', 'the result as JSON')
    .action(async (options: Output) => {
      const all = await withDatabase(({ db }) => listQueues(db));
      print({ queues: all }, options, () => queueLines(all));
    });
  queues
    .command('pause')
    .description('no process takes a message of it any more; what runs finishes')
    .argument('<name>', 'name of the queue')
    .option('--reason <text>', 'for those who find it paused', single)
    .option('--json', 'the result as JSON')
    .action(async (name: string, options: Output & { readonly reason?: string }) => {
      const about = { reason: options.reason ?? null, by: `${user()}@${hostname()}` };
      const queue = await withDatabase(({ db }) => pauseQueue(db, name, about));
      print(queue, options, () => queueLines([queue]));
    });
  queues
    .command('resume')
    .description('ends a pause, a parking and a hold')
    .argument('<name>', 'name of the queue')
    .option('--json', 'the result as JSON')
    .action(async (name: string, options: Output) => {
      const queue = await withDatabase(({ db }) => resumeQueue(db, name));
      print(queue, options, () => queueLines([queue]));
    });
}

/** A container may run as a user id without a name. */
function user(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

function queueLines(queues: readonly QueueView[]): string[] {
  return table(
    ['QUEUE', 'STATE', 'SINCE', 'UNTIL', 'BY', 'WAITING', 'READY', 'IN FLIGHT', 'RATE', 'REASON'],
    queues.map((queue) => [
      queue.name,
      [queue.state, ...queue.also].join('+'),
      textOfMoment(queue.since),
      textOfMoment(queue.until),
      queue.by ?? '–',
      String(queue.waiting),
      String(queue.ready),
      String(queue.inFlight),
      queue.rate === null ? '–' : `${queue.rate}/s`,
      short(queue.reason),
    ]),
  );
}
