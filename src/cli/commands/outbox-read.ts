// `waybill outbox list|show|stats|verify`: shows and verifies messages.

import type { Command } from 'commander';
import * as acts from '../../acts/messages.ts';
import { outboxOf } from '../../fleet/role.ts';
import { tellVerification } from '../../notice/watch.ts';
import { timelineOf, type Happening } from '../../operate/history.ts';
import { listMessages } from '../../operate/read.ts';
import { readStats, type Stats } from '../../operate/stats.ts';
import { closedQueues, waitLine, type Wait } from '../../queues/waits.ts';
import { verifyOutbox, type Verification } from '../../operate/verify.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { exitCodes } from '../exit.ts';
import { parseFilter } from '../../operate/filter.ts';
import { addFilter, type FilterOptions } from '../filter.ts';
import { single } from '../options.ts';
import { print, say, table, type Output } from '../print.ts';
import { visibleLine } from '../../redaction/visible.ts';
import { messageLines, text } from './message-lines.ts';
import { sayBound } from './outbox-search.ts';
import { onEachDatabase } from '../each-database.ts';
import { withDatabase } from '../session.ts';

type ListOptions = Output &
  FilterOptions & { readonly limit?: string; readonly cursor?: string; readonly order?: string };

export function addOutboxRead(outbox: Command): void {
  addFilter(outbox.command('list').description('messages that a filter matches'))
    .option('--limit <count>', 'messages at most, 1 to 500 (default: 50)', single)
    .option('--cursor <cursor>', 'where the page before ended', single)
    .option('--order <order>', 'newest (default) or oldest first', single)
    .action(list);
  addActor(outbox.command('show'))
    .description(
      'one message, with its payload, its attempts and its timeline; the audit says who read the payload',
    )
    .argument('<id>', 'id of the message')
    .option('--no-payload', 'without its payload; the audit does not mention it')
    .action(show);
  outbox
    .command('stats')
    .description('how many messages there are, by status and by queue')
    .action(async (options: Output) =>
      print(await withDatabase(({ db }) => readStats(db)), options, statsLines),
    );
  outbox
    .command('verify')
    .description('prove that every recorded message is accounted for; exit code 3 when not')
    .action(verify);
}

async function list(options: ListOptions): Promise<void> {
  const filter = parseFilter(options);
  const { page, closed } = await withDatabase(async ({ db }) => ({
    page: await listMessages(db, filter),
    closed: await closedQueues(db),
  }));
  print(page, options, ({ messages }) => messageLines(messages));
  if (!options.json) sayClosed(closed, filter.queue);
  if (options.json) return;
  if (page.bound) sayBound(page.bound);
  if (page.nextCursor !== null) say(`there are more: --cursor ${page.nextCursor}`);
}

/** Also when no listed message waits for it: an operator who misses an email looks at dead messages first. */
function sayClosed(closed: readonly Wait[], asked: readonly string[] = []): void {
  for (const wait of closed)
    if (asked.length === 0 || asked.includes(wait.queue)) say(`note: ${waitLine(wait)}: its messages wait`);
}

async function show(
  id: string,
  options: Output & ActorOptions & { readonly payload: boolean },
): Promise<void> {
  const message = await withDatabase(({ db }) =>
    options.payload ? acts.show(db, actorOf(options), id) : acts.look(db, id),
  );
  const {
    payload,
    payloadHidden = false,
    sensitive,
    attempts: _,
    notes: __,
    acts: ___,
    waitsFor,
    ...facts
  } = message;
  print(message, options, () => [
    ...Object.entries(facts).map(([name, value]) => `${name.padEnd(factWidth)}${visibleLine(text(value))}`),
    ...(waitsFor ? [`waits: ${waitLine(waitsFor)}`] : []),
    ...(sensitive
      ? ['payload  sealed: nobody can see it here']
      : payloadHidden
        ? []
        : [`payload  ${JSON.stringify(payload, null, 2)}`]),
    ...timelineOf(message).flatMap(happeningLines),
  ]);
}

const factWidth = 'runningSince'.length + 2;

function happeningLines(one: Happening): string[] {
  switch (one.what) {
    case 'attempt': {
      const { attempt: a } = one;
      return [
        `attempt ${a.attempt}: ${a.outcome}, ${text(a.startedAt)} – ${text(a.finishedAt)}, ${text(a.worker)} ${a.error ?? ''}`.trimEnd(),
        ...(a.stack ?? '').split('\n').flatMap((line) => (line === '' ? [] : [`  ${line}`])),
      ];
    }
    case 'note': {
      const { at, type, recipient, detail } = one.note;
      return [`${text(at)} ${[type, recipient, detail].filter(Boolean).join(' ')}`];
    }
    case 'act': {
      const { at, act, by, via, reason } = one.act;
      return [`${text(at)} ${act} by ${by} (${via})${reason === null ? '' : `: ${reason}`}`];
    }
  }
}

async function verify(options: Output): Promise<void> {
  const results = await onEachDatabase(
    async ({ db, config }) => {
      const found = await verifyOutbox(db, (rows) =>
        say(`the rules of ${rows.toLocaleString('en')} messages checked so far`),
      );
      if (config.notice !== null) await tellVerification(outboxOf(config)(db), found);
      return found;
    },
    { options, lines: verificationLines, goOn: true },
  );
  if (results.some(({ ok }) => !ok)) process.exitCode = exitCodes.findings;
}

function statsLines({ byStatus, byQueue, oldestDueSeconds }: Stats): string[] {
  const rows = Object.entries(byQueue).map(([queue, n]) => [
    queue,
    String(n.pending),
    String(n.sending),
    String(n.failed),
  ]);
  const oldest =
    oldestDueSeconds === null
      ? 'nothing is due'
      : `the oldest due message waits since ${oldestDueSeconds.toFixed(1)} s`;
  return [
    ...table(
      ['STATUS', 'MESSAGES'],
      Object.entries(byStatus).map(([status, count]) => [status, String(count)]),
    ),
    '',
    ...table(['QUEUE', 'PENDING', 'SENDING', 'FAILED'], rows),
    oldest,
  ];
}

function verificationLines({ ok, kinds, findings }: Verification): string[] {
  const columns = [
    'recorded',
    'pending',
    'sending',
    'failed',
    'delivered',
    'dead',
    'cancelled',
    'pruned',
    'difference',
  ] as const;
  const rows = kinds.map((kind) => [kind.kind, ...columns.map((column) => String(kind[column]))]);
  const found = findings.map(
    ({ code, message, ids }) => `${code}: ${message}${ids.length > 0 ? ` (${ids.join(', ')})` : ''}`,
  );
  return [
    ...table(['KIND', ...columns], rows),
    ...(ok ? ['every recorded message is accounted for'] : found),
  ];
}
