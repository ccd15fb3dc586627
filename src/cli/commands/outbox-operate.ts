// `waybill outbox retry|cancel`: operates on messages by id or, for retry, on all that a filter matches.

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
import { messageLines } from './outbox-read.ts';

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
      ids.length > 0 ? retryIds(ids, options) : retryFiltered(options),
    );
  addActor(outbox.command('cancel'))
    .description('end messages that wait')
    .argument('<id...>', 'ids')
    .action((ids: string[], options: Output & ActorOptions) => operate(ids, acts.cancel, options));
}

async function retryIds(ids: readonly string[], options: RetryOptions): Promise<void> {
  if (isFiltered(options)) throw new UsageError('ids_or_filter', 'give either ids or a filter');
  if (options.dryRun)
    throw new UsageError(
      'ids_or_filter',
      '--dry-run is for a filter: `outbox show ID` says whether a message can be retried',
    );
  await operate(ids, acts.retry, options);
}

async function retryFiltered(options: RetryOptions): Promise<void> {
  const { dryRun = false } = options;
  if (!isFiltered(options))
    throw new UsageError('filter_required', 'say which messages: ids, or a filter such as --status dead');
  const filter = parseFilter(options);
  if (!options.yes && !dryRun)
    throw new UsageError(
      'confirmation_required',
      'this retries all that match: look with --dry-run, then confirm with --yes',
    );
  const onProgress = (retried: number): void => (options.json ? undefined : say(`${retried} so far`));
  const result = await withDatabase(({ db }) =>
    acts.retryAll(db, actorOf(options), filter, { dryRun, onProgress }),
  );
  print(result, options, ({ matched, retried }) => [`${matched} matched, ${retried} wait again`]);
}

/** Operates on each message and reports refusals; with any, the exit code is 1. */
async function operate(
  ids: readonly string[],
  operation: (db: Database, actor: Actor, id: string) => Promise<MessageView>,
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
