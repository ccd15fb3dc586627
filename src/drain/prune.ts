// pruneOutbox deletes what is past its retention where no relay runs: settled messages, old delivery keys and stored answers.

import { toExecutor, type Executor, type PgLike } from '../db/executor.ts';
import { parseDuration, type Duration } from '../duration.ts';
import { WaybillError } from '../errors.ts';
import { withoutUnfit } from '../operate/unfit.ts';
import { checkOptions } from '../options.ts';
import { createWalk, pruneKept, type Retention } from '../relay/prune.ts';
import { namedFor } from '../store/postgres.ts';

/** What `pruneOutbox` keeps, and for how long. */
export type PruneOptions = {
  /** As for createPostgresOutbox. */
  readonly tableName?: string | undefined;
  /** Age at which delivered messages are deleted. Default `7d`. */
  readonly deliveredRetention?: Duration | undefined;
  /** Age at which dead and cancelled messages are deleted. Default `30d`. */
  readonly deadRetention?: Duration | undefined;
  /** How long a delivery key prevents duplicates after its message was deleted. Default `90d`. */
  readonly keyRetention?: Duration | undefined;
  /** On abort, the batch that runs is finished, and no other begins. */
  readonly signal?: AbortSignal | undefined;
};

/** How many were deleted. */
export type PruneReport = { readonly messages: number; readonly keys: number };

/** Small, so that no lock is held for long. */
const batch = 1_000;

/** Of one call, so that it ends also beside a steady stream. */
const mostBatches = 1_000;

/**
 * Deletes messages past their retention, in batches of 1,000, until none is left. It may run beside a relay and other calls.
 * @param source a pg pool, a client or an executor; not one in a transaction
 * @throws WaybillError `options_invalid`, `table_name_invalid`; errors of the database pass through
 */
export async function pruneOutbox(
  source: Executor | PgLike,
  options: PruneOptions = {},
): Promise<PruneReport> {
  const own = ['tableName', 'deliveredRetention', 'deadRetention', 'keyRetention', 'signal'];
  checkOptions('pruneOutbox', options, own);
  const retention = retentionOf(options);
  const db = namedFor(toExecutor(source), options);
  const walk = createWalk();
  let report: PruneReport = { messages: 0, keys: 0 };
  for (let n = 0; n < mostBatches && !options.signal?.aborted; n++) {
    const { pruned, isFull } = await withoutUnfit(
      db,
      () => undefined,
      () => walk.prune(db, retention, batch),
    );
    const kept = await pruneKept(db, retention, batch);
    const messages = pruned.reduce((sum, one) => sum + one.n, 0);
    const keys = kept.outbox_keys;
    report = { messages: report.messages + messages, keys: report.keys + keys };
    if (!isFull && !kept.more) break;
  }
  return report;
}

function retentionOf({
  deliveredRetention = '7d',
  deadRetention = '30d',
  keyRetention = '90d',
}: PruneOptions): Retention {
  return {
    deliveredMs: milliseconds('deliveredRetention', deliveredRetention),
    deadMs: milliseconds('deadRetention', deadRetention),
    keyMs: milliseconds('keyRetention', keyRetention),
  };
}

function milliseconds(option: string, value: Duration): number {
  const ms = typeof value === 'number' ? value : parseDuration(value);
  if (ms !== undefined && Number.isFinite(ms) && ms >= 0 && ms <= 3650 * 86_400_000) return ms;
  throw new WaybillError(
    'options_invalid',
    `pruneOutbox: ${option} must be a duration of at most ten years: milliseconds, or a text such as '7d'`,
  );
}
