// `waybill queues list|pause|resume`: shows, closes and opens queues and their groups, for the whole fleet.

import type { Command } from 'commander';
import { textOfMoment } from '../../db/moment.ts';
import { readPauseEnd } from '../../operate/pause.ts';
import { listQueues, pauseQueue, resumeQueue, type QueueView } from '../../queues/queues.ts';
import { limitsText } from '../../queues/limits.ts';
import { pauseGroup, resumeGroup } from '../../operate/groups.ts';
import { aboutOf, addFlow, printGroup } from './queue-flow.ts';
import { addOrder } from './queue-order.ts';
import { single } from '../options.ts';
import { print, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type PauseOptions = { readonly [Option in 'reason' | 'until' | 'for' | 'group']?: string };

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
    .option('--group <group>', 'only its messages of this group', single)
    .option('--until <time>', 'reopen it at this time, such as 2026-12-01T08:00Z', single)
    .option('--for <duration>', 'reopen it after this time, such as 30m or 2h', single)
    .action(async (name: string, options: Output & PauseOptions) => {
      const about = { ...aboutOf(options), ...readPauseEnd(options) };
      const { group } = options;
      if (group !== undefined)
        return printGroup(await withDatabase(({ db }) => pauseGroup(db, name, group, about)), options);
      const queue = await withDatabase(({ db }) => pauseQueue(db, name, about));
      print(queue, options, () => queueLines([queue]));
    });
  queues
    .command('resume')
    .description('ends a pause, a parking and a hold')
    .argument('<name>', 'name of the queue')
    .option('--group <group>', 'only its messages of this group', single)
    .action(async (name: string, options: Output & { readonly group?: string }) => {
      const { group } = options;
      if (group !== undefined)
        return printGroup(await withDatabase(({ db }) => resumeGroup(db, name, group)), options);
      const queue = await withDatabase(({ db }) => resumeQueue(db, name));
      print(queue, options, () => queueLines([queue]));
    });
  addFlow(queues);
  addOrder(queues);
}

function queueLines(queues: readonly QueueView[]): string[] {
  return table(
    ['QUEUE', 'STATE', 'SINCE', 'UNTIL', 'BY', 'WAITING', 'READY', 'IN FLIGHT', 'LIMITS', 'REASON'],
    queues.map((queue) => [
      queue.name,
      [queue.state, ...queue.also].join('+'),
      textOfMoment(queue.since),
      textOfMoment(queue.until),
      queue.by ?? '–',
      String(queue.waiting),
      String(queue.ready),
      String(queue.inFlight),
      limitsText(queue.limits.effective) || '–',
      short(queue.reason),
    ]),
  );
}
