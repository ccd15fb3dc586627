// `waybill queues list|pause|resume`: shows, closes and opens queues, for the whole fleet.

import { hostname } from 'node:os';
import type { Command } from 'commander';
import { textOfMoment } from '../../db/moment.ts';
import { listQueues, pauseQueue, resumeQueue, type QueueView } from '../../queues/queues.ts';
import { single } from '../options.ts';
import { print, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { userName } from './cron-run.ts';

export function addQueues(program: Command): void {
  const queues = program.command('queues').description('see and control what queues of the fleet may do');
  queues
    .command('list')
    .description('every queue, what holds it back and how much waits in it')
    .action(async (options: Output) => {
      const all = await withDatabase(({ db }) => listQueues(db));
      print({ queues: all }, options, () => queueLines(all));
    });
  queues
    .command('pause')
    .description('no process takes a message of it any more; what runs finishes')
    .argument('<name>', 'name of the queue')
    .option('--reason <text>', 'for those who find it paused', single)
    .action(async (name: string, options: Output & { readonly reason?: string }) => {
      const user = userName(String(process.getuid?.() ?? 'unknown'));
      const about = { reason: options.reason ?? null, by: `${user}@${hostname()}` };
      const queue = await withDatabase(({ db }) => pauseQueue(db, name, about));
      print(queue, options, () => queueLines([queue]));
    });
  queues
    .command('resume')
    .description('ends a pause, a parking and a hold')
    .argument('<name>', 'name of the queue')
    .action(async (name: string, options: Output) => {
      const queue = await withDatabase(({ db }) => resumeQueue(db, name));
      print(queue, options, () => queueLines([queue]));
    });
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
