// `waybill outbox retry|cancel`: operates on messages by id, or on all that a filter matches.

import type { Command } from 'commander';
import * as acts from '../../acts/messages.ts';
import type { Actor } from '../../operate/audit.ts';
import type { Database } from '../../db/pool.ts';
import { WaybillError } from '../../errors.ts';
import { checkId, type MessageView } from '../../operate/read.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { parseFilter } from '../../operate/filter.ts';
import { addFilter, isFiltered, type FilterOptions } from '../filter.ts';
import { print, say, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { startBulk } from './bulk.ts';
import { messageLines } from './message-lines.ts';

type RetryOptions = Output &
  ActorOptions &
  FilterOptions & { readonly dryRun?: boolean; readonly yes?: boolean };

export function addOutboxOperate(outbox: Command): void {
  const command = addActor(outbox.command('retry'))
    .description('make dead or cancelled messages wait again')
    .argument('[id...]', 'ids; without them, a filter says which');
  addFilter(command)
    .option('--dry-run', 'only count what the filter matches')
    .option('--yes', 'really retry all that the filter matches')
    .action((ids: string[], options: RetryOptions) =>
      ids.length > 0 ? operateIds(ids, acts.retry, options) : retryFiltered(options),
    );
  addFilter(addActor(outbox.command('cancel')))
    .description('end messages that wait')
    .argument('[id...]', 'ids; without them, a filter says which, and the relay does it')
    .option('--dry-run', 'only the preview of what the filter matches')
    .option('--yes', 'really cancel all that the filter matches')
    .action((ids: string[], options: RetryOptions) =>
      ids.length > 0 ? operateIds(ids, acts.cancel, options) : cancelFiltered(options),
    );
}

type Operation = (db: Database, actor: Actor, id: string) => Promise<MessageView>;

async function operateIds(
  ids: readonly string[],
  operation: Operation,
  options: RetryOptions,
): Promise<void> {
  if (isFiltered(options)) throw new UsageError('ids_or_filter', 'give either ids or a filter');
  if (options.dryRun)
    throw new UsageError(
      'ids_or_filter',
      '--dry-run is for a filter: `outbox show ID` says in which state a message is',
    );
  await operate(ids, operation, options);
}

/** @throws UsageError `filter_required`, `confirmation_required` */
function checkConfirmed(options: RetryOptions, what: 'retries' | 'cancels', status: string): void {
  if (!isFiltered(options))
    throw new UsageError(
      'filter_required',
      `say which messages: ids, or a filter such as --status ${status}`,
    );
  if (!options.yes && !options.dryRun)
    throw new UsageError(
      'confirmation_required',
      `this ${what} all that match: look with --dry-run, then confirm with --yes`,
    );
}

/** As a bulk act, whose progress is shown until it ends. */
async function cancelFiltered(options: RetryOptions): Promise<void> {
  checkConfirmed(options, 'cancels', 'pending');
  await startBulk('cancel', { ...options, wait: true });
}

async function retryFiltered(options: RetryOptions): Promise<void> {
  const { dryRun = false } = options;
  checkConfirmed(options, 'retries', 'dead');
  const filter = parseFilter(options);
  const onProgress = (retried: number): void => (options.json ? undefined : say(`${retried} so far`));
  const result = await withDatabase(({ db }) =>
    acts.retryAll(db, actorOf(options), filter, { dryRun, onProgress }),
  );
  print(result, options, ({ matched, retried }) => [`${matched} matched, ${retried} wait again`]);
}

/** Operates on each message and reports refusals; with any, the exit code is 1. */
async function operate(
  ids: readonly string[],
  operation: Operation,
  options: Output & ActorOptions,
): Promise<void> {
  for (const id of ids) checkId(id); // all ids, before anything is changed
  const messages: MessageView[] = [];
  const refused: string[] = [];
  await withDatabase(async ({ db }) => {
    for (const id of ids) {
      try {
        messages.push(await operation(db, actorOf(options), id));
      } catch (error) {
        if (!(error instanceof WaybillError)) throw error;
        refused.push(error.message);
      }
    }
  });
  if (messages.length > 0 || options.json)
    print({ messages, refused }, options, () => messageLines(messages));
  for (const problem of refused) say(`waybill: ${problem}`);
  if (refused.length > 0) process.exitCode = exitCodes.failed;
}
