// `waybill queues limit|groups|cancel`: limits of a queue for the whole fleet, and its groups.

import { InvalidArgumentError, type Command } from 'commander';
import { textOfMoment } from '../../db/moment.ts';
import * as acts from '../../acts/queues.ts';
import { listGroups, mostGroups, stateOf, type GroupView } from '../../operate/groups.ts';
import { readLimits, type LimitsGiven } from '../../operate/limits.ts';
import { limitsText, titles } from '../../queues/limits.ts';
import type { QueueView } from '../../queues/queues.ts';
import { WaybillError } from '../../errors.ts';
import { single } from '../options.ts';
import { print, say, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';

type LimitOptions = LimitsGiven & Output & ActorOptions & { readonly reset?: boolean };

export function addFlow(queues: Command): void {
  addLimit(queues);
  queues
    .command('groups')
    .description('the groups of a queue: paused and parked ones, then the largest')
    .argument('<name>', 'name of the queue')
    .option('--limit <n>', `at most so many, up to ${mostGroups}`, upTo(mostGroups), 100)
    .action(async (name: string, options: Output & { readonly limit: number }) => {
      const found = await withDatabase(({ db }) => listGroups(db, name, options.limit));
      print(found, options, ({ groups, rest }) => [
        ...groupLines(groups),
        ...(rest.groups > 0 ? [`groups left out: ${rest.groups}, waiting in them: ${rest.waiting}`] : []),
      ]);
    });
  addActor(queues.command('cancel'))
    .description('cancels the waiting messages of a group; what runs finishes')
    .argument('<name>', 'name of the queue')
    .requiredOption('--group <group>', 'the group', single)
    .option('--dry-run', 'only counts')
    .action(
      async (
        name: string,
        options: Output & ActorOptions & { readonly group: string; readonly dryRun?: boolean },
      ) => {
        const { group, dryRun = false } = options;
        const progress = (n: number): void => say(`${n} cancelled`);
        const result = await withDatabase(({ db }) =>
          acts.cancelOf(db, actorOf(options), { queue: name, group }, { dryRun, progress }),
        );
        print({ ...result, dryRun }, options, () => [
          dryRun
            ? `${result.matched} messages would be cancelled`
            : `${result.cancelled} of ${result.matched} messages are cancelled`,
        ]);
      },
    );
}

function addLimit(queues: Command): void {
  addActor(queues.command('limit'), 'for those who find it limited, and the audit')
    .description("sets limits of a queue for the whole fleet, instead of the application's; none lifts one")
    .argument('<name>', 'name of the queue')
    .option('--rate <rate>', 'starts, such as 50/s, 100/m or 1000/h', single)
    .option('--burst <n>', 'how many of them may start at once; default 1', single)
    .option('--concurrency <n>', 'messages in flight over the fleet', single)
    .option('--per-process <n>', 'messages in flight in one process', single)
    .option('--per-group-concurrency <n>', 'messages in flight of one group', single)
    .option('--per-group-rate <rate>', 'starts of one group', single)
    .option('--ramp <duration>', 'from a reopening to full speed, such as 30s', single)
    .option('--reset', "the application's limits hold again")
    .action(async (name: string, options: LimitOptions) => {
      const { reset = false, reason: _, json: __, as: ___, ...given } = options;
      if (reset && Object.keys(given).length > 0)
        throw new WaybillError(
          'invalid_limit_value',
          '--reset takes all limits of operators back: give no limit beside it',
        );
      const limits = reset ? undefined : readLimits(given);
      const queue = await withDatabase(({ db }) => acts.limit(db, actorOf(options), name, limits));
      for (const name of queue.limits.looser)
        say(
          `${titles[name]}: looser than what the application defines (${limitsText(queue.limits.application)})`,
        );
      print(queue, options, () => limitLines(queue));
    });
}

function limitLines({ name, limits }: QueueView): string[] {
  const { effective, application, operator, by, at, reason } = limits;
  return table(
    ['QUEUE', 'HOLDS', 'APPLICATION', 'OPERATOR', 'BY', 'SINCE', 'REASON'],
    [
      [
        name,
        limitsText(effective) || '–',
        limitsText(application) || '–',
        limitsText(operator) || '–',
        by ?? '–',
        textOfMoment(at),
        short(reason),
      ],
    ],
  );
}

export function printGroup(group: GroupView, output: Output): void {
  print(group, output, () => groupLines([group]));
}

function groupLines(groups: readonly GroupView[]): string[] {
  return table(
    ['GROUP', 'WAITING', 'DUE', 'IN FLIGHT', 'OLDEST', 'STATE', 'SINCE', 'UNTIL', 'BY', 'REASON'],
    groups.map((one) => {
      const { state, since, until, by, reason } = stateOf(one);
      return [
        one.group ?? '(none)',
        String(one.waiting),
        String(one.due),
        String(one.inFlight),
        textOfMoment(one.oldest),
        state,
        textOfMoment(since),
        textOfMoment(until),
        by ?? '–',
        short(reason),
      ];
    }),
  );
}

function upTo(most: number): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (/^\d{1,6}$/.test(text) && n >= 1 && n <= most) return n;
    throw new InvalidArgumentError(`it must be a whole number from 1 to ${most}`);
  };
}
