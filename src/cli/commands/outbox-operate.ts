// `waybill outbox retry|cancel`: operating on messages, one by one or (retry) all that a filter matches.

import type { Command } from 'commander';
import type { Executor } from '../../db/executor.ts';
import { cancelMessage, retryMany, retryMessage, type Operated } from '../../outbox/operate.ts';
import { showMessage, type MessageView } from '../../outbox/read.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { addFilter, readFilter, type FilterOptions } from '../filter.ts';
import { messageId } from '../options.ts';
import { print, say, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { messageLines } from './outbox-read.ts';

type RetryOptions = Output & FilterOptions & { readonly dryRun?: boolean; readonly yes?: boolean };

export function addOutboxOperate(outbox: Command): void {
  const retry = outbox
    .command('retry')
    .description('make dead or cancelled messages wait again')
    .argument('[id...]', 'ids; without them, a filter says which');
  addFilter(retry)
    .option('--dry-run', 'only count what the filter matches')
    .option('--yes', 'really retry all that the filter matches')
    .option('--json', 'the result as JSON')
    .action(async (ids: string[], options: RetryOptions) => {
      if (ids.length > 0) return retryIds(ids, options);
      await retryFiltered(options);
    });
  outbox
    .command('cancel')
    .description('end messages that wait')
    .argument('<id...>', 'ids')
    .option('--json', 'the result as JSON')
    .action((ids: string[], options: Output) => operate(ids, 'cancel', cancelMessage, options));
}

const filters = ['status', 'kind', 'name', 'queue', 'deliveryKey', 'errorContains', 'since', 'until'] as const;
const isFiltered = (options: FilterOptions): boolean => filters.some((name) => options[name] !== undefined);

async function retryIds(ids: readonly string[], options: RetryOptions): Promise<void> {
  if (isFiltered(options) || options.dryRun) throw new UsageError('ids_or_filter', 'give either ids or a filter');
  await operate(ids, 'retry', retryMessage, options);
}

async function retryFiltered(options: RetryOptions): Promise<void> {
  if (!isFiltered(options)) throw new UsageError('filter_required', 'say which messages: ids, or a filter such as --status dead');
  const filter = readFilter(options);
  if (!options.yes && !options.dryRun)
    throw new UsageError('confirmation_required', 'this retries all that match: look with --dry-run, then confirm with --yes');
  const onProgress = (retried: number): void => say(`${retried} so far`);
  const result = await withDatabase(({ db }) =>
    retryMany(db, filter, { dryRun: options.dryRun ?? false, ...(options.json ? {} : { onProgress }) }),
  );
  print(result, options, ({ matched, retried }) => [`${matched} matched, ${retried} wait again`]);
}

type Operation = (db: Executor, id: string) => Promise<Operated>;

/** Does what can be done, says what cannot: exit code 1 when there is any of that. */
async function operate(given: readonly string[], name: 'retry' | 'cancel', operation: Operation, options: Output): Promise<void> {
  const ids = given.map(messageId);
  const messages: MessageView[] = [];
  const refused = await withDatabase(async ({ db }) => {
    const problems: string[] = [];
    for (const id of ids) {
      const problem = problemOf(id, name, await operation(db, id));
      if (problem !== undefined) problems.push(problem);
      else messages.push(...(await seen(db, id)));
    }
    return problems;
  });
  if (messages.length > 0) print({ messages }, options, () => messageLines(messages));
  for (const problem of refused) say(`waybill: ${problem}`);
  if (refused.length > 0) process.exitCode = exitCodes.failed;
}

async function seen(db: Executor, id: string): Promise<MessageView[]> {
  const message = await showMessage(db, id);
  return message ? [message] : []; // pruned this moment
}

function problemOf(id: string, name: 'retry' | 'cancel', operated: Operated): string | undefined {
  if (operated === 'done') return undefined;
  if (operated === 'not_found') return `there is no message ${id}`;
  if (operated === 'key_taken') return `${id} cannot be retried: a newer message holds its delivery key`;
  const allowed = name === 'retry' ? 'dead and cancelled messages can be retried' : 'messages that wait can be cancelled';
  return `${id} is ${operated.notFrom}: only ${allowed}`;
}
