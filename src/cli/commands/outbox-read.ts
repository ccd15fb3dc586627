// `waybill outbox list|show|stats|verify`: looking at messages.

import type { Command } from 'commander';
import { listMessages, readStats, showMessage, type MessageView, type Page, type Stats } from '../../outbox/read.ts';
import { verifyOutbox, type Verification } from '../../outbox/verify.ts';
import { exitCodes } from '../exit.ts';
import { addFilter, readFilter, type FilterOptions } from '../filter.ts';
import { messageId, single } from '../options.ts';
import { print, say, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

export function addOutboxRead(outbox: Command): void {
  addFilter(outbox.command('list').description('messages, newest first'))
    .option('--limit <count>', 'messages at most, 1 to 500 (default: 50)', single)
    .option('--cursor <cursor>', 'where the page before ended', single)
    .option('--json', 'the result as JSON')
    .action(async (options: Output & FilterOptions & { limit?: string; cursor?: string }) => {
      const filter = readFilter(options);
      const page = await withDatabase(({ db }) => listMessages(db, filter));
      print(page, options, pageLines);
      if (page.nextCursor !== null && !options.json) say(`there are more: --cursor ${page.nextCursor}`);
    });
  outbox
    .command('show')
    .description('one message, with its payload and its attempts')
    .argument('<id>', 'id of the message')
    .option('--json', 'the result as JSON')
    .action(show);
  outbox
    .command('stats')
    .description('how many messages there are, by status and by queue')
    .option('--json', 'the result as JSON')
    .action(async (options: Output) => {
      print(await withDatabase(({ db }) => readStats(db)), options, statsLines);
    });
  outbox
    .command('verify')
    .description('prove that every recorded message is accounted for; exit code 3 when not')
    .option('--json', 'the result as JSON')
    .action(verify);
}

async function show(given: string, options: Output): Promise<void> {
  const id = messageId(given);
  const message = await withDatabase(({ db }) => showMessage(db, id));
  if (message === undefined) throw new Error(`there is no message ${id}`);
  const { payload, attempts, ...facts } = message;
  print(message, options, () => [
    ...table([], Object.entries(facts).map(([name, value]) => [name, text(value)])).slice(1),
    `payload  ${JSON.stringify(payload, null, 2)}`,
    ...attempts.map((a) => `attempt ${a.attempt}: ${a.outcome}, ${text(a.startedAt)} – ${text(a.finishedAt)}, ${text(a.worker)} ${a.error ?? ''}`.trimEnd()),
  ]);
}

async function verify(options: Output): Promise<void> {
  const result = await withDatabase(({ db }) => verifyOutbox(db));
  print(result, options, verificationLines);
  if (result.ok) return;
  say('the outbox does not add up: see the difference, or the rows with no attempt left');
  process.exitCode = exitCodes.findings;
}

export function messageLines(messages: readonly MessageView[]): string[] {
  if (messages.length === 0) return ['no message'];
  return table(
    ['ID', 'KIND', 'NAME', 'QUEUE', 'STATUS', 'ATTEMPTS', 'CREATED', 'LAST ERROR'],
    messages.map((m) => [m.id, m.kind, m.name, m.queue, m.status, `${m.attemptCount}/${m.maxAttempts}`, text(m.createdAt), short(m.lastError)]),
  );
}

const pageLines = (page: Page): string[] => messageLines(page.messages);

function statsLines({ byStatus, byQueue, oldestDueSeconds }: Stats): string[] {
  const statuses = Object.keys(byStatus);
  const line = (name: string, counts: Record<string, number>): string[] => [name, ...statuses.map((status) => String(counts[status] ?? 0))];
  const rows = Object.entries(byQueue).map(([queue, counts]) => line(queue, counts));
  const oldest = oldestDueSeconds === null ? 'nothing is due' : `the oldest due message waits since ${oldestDueSeconds.toFixed(1)} s`;
  return [...table(['QUEUE', ...statuses], [...rows, line('all', byStatus)]), oldest];
}

function verificationLines({ ok, kinds, oddities }: Verification): string[] {
  const columns = ['recorded', 'pending', 'sending', 'failed', 'delivered', 'dead', 'cancelled', 'pruned', 'difference'] as const;
  const rows = kinds.map((kind) => [kind.kind, ...columns.map((column) => String(kind[column]))]);
  const odd = Object.entries(oddities).filter(([, count]) => count > 0);
  return [...table(['KIND', ...columns], rows), ...odd.map(([name, count]) => `${name}: ${count}`), ok ? 'everything is accounted for' : 'NOT everything is accounted for'];
}

function text(value: Date | string | number | null): string {
  if (value instanceof Date) return value.toISOString();
  return value === null || value === '' ? '–' : String(value);
}
