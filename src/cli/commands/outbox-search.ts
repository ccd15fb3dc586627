// `waybill outbox count|running|groups|related`: how many messages a filter matches, what runs, what they have in common, and what belongs to one.

import type { Command } from 'commander';
import { textOfMoment } from '../../db/moment.ts';
import { countMessages } from '../../operate/count.ts';
import { parseFilter } from '../../operate/filter.ts';
import { groupings, groupMessages, readGrouping, windows, type Grouped } from '../../operate/grouping.ts';
import { relatedMessages, type Related } from '../../operate/related.ts';
import { listRunning, type Running } from '../../operate/running.ts';
import type { Bound } from '../../operate/search.ts';
import { addFilter, type FilterOptions } from '../filter.ts';
import { single } from '../options.ts';
import { print, say, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { messageLines, text } from './message-lines.ts';

type GroupOptions = Output &
  FilterOptions & { readonly by: string; readonly window?: string; readonly limit?: string };

export function addOutboxSearch(outbox: Command): void {
  addFilter(
    outbox.command('count').description('how many messages a filter matches, counted up to 100,000'),
  ).action(count);
  addFilter(
    outbox.command('groups').description('failures by what they have in common; messages by tag or group'),
  )
    .requiredOption('--by <by>', `${groupings.join(', ')}`, single)
    .option('--window <span>', `${windows.join(', ')} (default: 24h)`, single)
    .option('--limit <count>', 'groups at most, 1 to 500 (default: 50)', single)
    .action(groups);
  outbox
    .command('running')
    .description('what runs now, the longest first')
    .option('--limit <count>', 'messages at most, 1 to 500 (default: 100)', single)
    .action(async ({ limit, ...options }: Output & { readonly limit?: string }) =>
      print(await withDatabase(({ db }) => listRunning(db, limit)), options, runningLines),
    );
  outbox
    .command('related')
    .description('parent and children of a message, and messages of its request, trace and delivery key')
    .argument('<id>', 'id of the message')
    .action(async (id: string, options: Output) =>
      print(await withDatabase(({ db }) => relatedMessages(db, id)), options, relatedLines),
    );
}

async function count(options: Output & FilterOptions): Promise<void> {
  const filter = parseFilter(options);
  const counted = await withDatabase(({ db }) => countMessages(db, filter));
  print(counted, options, ({ count: n, atLeast }) => [`${atLeast ? 'at least ' : ''}${n}`]);
  if (counted.bound && !options.json) sayBound(counted.bound);
}

async function groups(options: GroupOptions): Promise<void> {
  const { by, window, limit, ...rest } = options;
  const asked = readGrouping(by, window);
  const { limit: most, ...filter } = parseFilter({ ...rest, limit });
  print(await withDatabase(({ db }) => groupMessages(db, asked, filter, most)), options, groupLines);
}

function groupLines({ by, groups: all, rest, bound, since }: Grouped): string[] {
  if (all.length === 0) return [`nothing since ${since.toISOString()}`];
  return [
    ...table(
      ['COUNT', 'FIRST SEEN', 'LAST SEEN', 'SAMPLE', by.toUpperCase()],
      all.map((group) => [
        String(group.count),
        textOfMoment(group.firstSeen),
        textOfMoment(group.lastSeen),
        group.sampleIds[0] ?? '',
        short(group.key ?? '–', 100),
      ]),
    ),
    ...(rest.count > 0 ? [`and ${rest.count} more in ${rest.groups} other groups`] : []),
    ...(bound.reached ? [`note: only the newest ${bound.messages} of the window were read`] : []),
  ];
}

function runningLines({ messages, running, prefetched }: Running): string[] {
  const more =
    running > messages.length ? [`and ${running - messages.length} that have run for less long`] : [];
  if (running + prefetched === 0) return ['nothing runs'];
  return [
    ...table(
      ['ID', 'NAME', 'QUEUE', 'RUNNING SINCE', 'ATTEMPT', 'WORKER', 'LEASE ENDS'],
      messages.map((m) => [
        m.id,
        m.name,
        m.queue,
        text(m.runningSince),
        `${m.attemptCount}/${m.maxAttempts}`,
        m.claimedBy ?? '–',
        text(m.claimedUntil),
      ]),
    ),
    ...more,
    `running: ${running}, prefetched: ${prefetched}`,
  ];
}

function relatedLines({ parent, children, sameRequest, sameTrace, sameKey, bound }: Related): string[] {
  const relations = { parent: parent ? [parent] : [], children, sameRequest, sameTrace, sameKey };
  const lines = Object.entries(relations).flatMap(([name, messages]) =>
    messages.length > 0 ? [`${titles[name as keyof typeof relations]}:`, ...messageLines(messages)] : [],
  );
  const limit = `note: only ${bound.messages} messages from ${bound.from.toISOString()} on were read`;
  return [...(lines.length > 0 ? lines : ['nothing is related to it']), ...(bound.reached ? [limit] : [])];
}

const titles = {
  parent: 'its parent',
  children: 'its children',
  sameRequest: 'of the same request',
  sameTrace: 'of the same trace',
  sameKey: 'with the same delivery key',
};

/** Says how far a search without an index went. */
export function sayBound({ filters, messages, reached }: Bound): void {
  if (reached)
    say(
      `note: ${filters.join(', ')}: only ${messages} of the messages that the other filters leave were read`,
    );
}
