// `waybill queues list|pause|resume`: shows, closes and opens queues and their groups, for the whole fleet.

import type { Command } from 'commander';
import { textOfMoment } from '../../db/moment.ts';
import { readPauseEnd } from '../../operate/pause.ts';
import * as acts from '../../acts/queues.ts';
import { listQueues, type QueueView } from '../../queues/queues.ts';
import { providerLines } from '../../queues/providers.ts';
import { limitsText } from '../../queues/limits.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { addFlow, printGroup } from './queue-flow.ts';
import { addOrder } from './queue-order.ts';
import { UsageError } from '../exit.ts';
import { collectNames, single } from '../options.ts';
import { print, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type PauseOptions = ActorOptions & { readonly [Option in 'until' | 'for' | 'group']?: string };

type Every = { readonly all?: boolean; readonly except?: readonly string[]; readonly group?: string };

/** @returns null: all of them. @throws UsageError `invalid_arguments` */
function nameOrAll(name: string | undefined, { all = false, except, group }: Every): string | null {
  if (name !== undefined && !all && except === undefined) return name;
  if (name === undefined && all && group === undefined) return null;
  throw new UsageError(
    'invalid_arguments',
    'give the name of one queue, or --all, with --except where wanted',
  );
}

function printAll(queues: readonly QueueView[], options: Output): void {
  print({ queues }, options, () => (queues.length === 0 ? ['no queue to change'] : queueLines(queues)));
}

export function addQueues(program: Command): void {
  const queues = program.command('queues').description('see and control what queues of the fleet may do');
  queues
    .command('list')
    .description('every queue, what holds it back and how much waits in it')
    .action(async (options: Output) => {
      const all = await withDatabase(({ db }) => listQueues(db));
      print({ queues: all }, options, () => queueLines(all));
    });
  addPause(queues);
  addResume(queues);
  addFlow(queues);
  addOrder(queues);
}

function addPause(queues: Command): void {
  addActor(queues.command('pause'), 'for those who find it paused, and the audit')
    .description('no process takes a message of it any more; what runs finishes')
    .argument('[name]', 'name of the queue')
    .option('--all', 'every queue that is known now')
    .option('--except <names>', 'with --all: but these, with commas between (may repeat)', collectNames)
    .option('--group <group>', 'only its messages of this group', single)
    .option('--until <time>', 'reopen it at this time, such as 2026-12-01T08:00Z', single)
    .option('--for <duration>', 'reopen it after this time, such as 30m or 2h', single)
    .action(async (given: string | undefined, options: Output & PauseOptions & Every) => {
      const [actor, end] = [actorOf(options), readPauseEnd(options)];
      const name = nameOrAll(given, options);
      if (name === null)
        return printAll(
          await withDatabase(({ db }) => acts.pauseAll(db, actor, options.except ?? [], end)),
          options,
        );
      const { group } = options;
      if (group !== undefined)
        return printGroup(
          await withDatabase(({ db }) => acts.pauseOf(db, actor, { queue: name, group }, end)),
          options,
        );
      const queue = await withDatabase(({ db }) => acts.pause(db, actor, name, end));
      print(queue, options, () => queueLines([queue]));
    });
}

function addResume(queues: Command): void {
  addActor(queues.command('resume'))
    .description('ends a pause, a parking and a hold')
    .argument('[name]', 'name of the queue')
    .option('--all', 'every queue that is closed now')
    .option('--except <names>', 'with --all: but these, with commas between (may repeat)', collectNames)
    .option('--group <group>', 'only its messages of this group', single)
    .action(async (given: string | undefined, options: Output & ActorOptions & Every) => {
      const { group } = options;
      const name = nameOrAll(given, options);
      if (name === null)
        return printAll(
          await withDatabase(({ db }) => acts.resumeAll(db, actorOf(options), options.except ?? [])),
          options,
        );
      if (group !== undefined)
        return printGroup(
          await withDatabase(({ db }) => acts.resumeOf(db, actorOf(options), { queue: name, group })),
          options,
        );
      const queue = await withDatabase(({ db }) => acts.resume(db, actorOf(options), name));
      print(queue, options, () => queueLines([queue]));
    });
}

function queueLines(queues: readonly QueueView[]): string[] {
  const lines = table(
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
  return [...lines, ...queues.flatMap(({ providers }) => providerLines(providers))];
}
