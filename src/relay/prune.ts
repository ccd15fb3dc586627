// The step *prune*: settled messages past their retention are deleted, in small batches that hold no long lock. So are old delivery keys and
// idempotency keys, and groups of which nothing need be known; the audit counters are folded.

import { pruneActs } from '../operate/audit.ts';
import { notePrunes } from '../operate/storage.ts';
import { pruneBulk } from '../operate/bulk.ts';
import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { withoutUnfit } from '../operate/unfit.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import { pruneGroups } from '../queues/forgotten-groups.ts';
import { answersKeptMs, pruneAnswersSql } from '../outbox/once.ts';

export type PruneOptions = {
  readonly db: Executor;
  readonly events: Events;
  readonly observe: Observe;
  readonly retention: Retention;
  readonly auditRetentionMs: Milliseconds;
};

const batch = 1_000;
const idle: Milliseconds = 60_000;
/** Pause between full batches: leaves the disk to deliveries. */
const breath: Milliseconds = 50;

export function createPrune({
  db,
  events,
  observe,
  retention,
  auditRetentionMs,
}: PruneOptions): () => Promise<Milliseconds> {
  const walk = createWalk();
  return async function pruneStep() {
    const pruned = await withoutUnfit(db, events.unfit, () => walk.prune(db, retention, batch));
    for (const { status, n } of pruned) events.pruned(status, n);
    const { more, ...kept } = await pruneKept(db, retention, batch);
    const acts = await pruneActs(db, auditRetentionMs, batch);
    await pruneBulk(db, auditRetentionMs, batch);
    const messages = pruned.reduce((sum, { n }) => sum + n, 0);
    await notePrunes(db, { outbox_messages: messages, audit: acts, ...kept });
    observe('pruned', { rows: pruned });
    return messages >= batch || more ? breath : idle;
  };
}

/** `gone` → keys kept, audit counters written, counts by status. */
const keep = (more = ''): string => `
  , keys as (
    insert into waybill.outbox_keys as k (kind, name, delivery_key, message_id)
    select kind, name, delivery_key, id from gone where delivery_key is not null and status = 'delivered'
    on conflict (kind, name, delivery_key) do update set message_id = excluded.message_id, pruned_at = excluded.pruned_at
      where k.pruned_at < 'infinity'),
  audited as (
    insert into waybill.outbox_audit (kind, outcome, n)
    select kind, 'pruned ' || status, count(*) from gone group by kind, status)
  select status, count(*)::int as n${more} from gone group by status`;

/**
 * Ids are time-ordered, so it walks the primary key from one id to the first id that is too young. An index on `delivered_at` would add to each
 * settling. Values: retentions in ms (delivered, cancelled), rows, the id after which it begins.
 */
export const pruneSettledSql = `
  with gone as (
    delete from waybill.outbox_messages where id in (
      select id from waybill.outbox_messages
       where id > $4 and id < (lpad(to_hex((extract(epoch from now()) * 1000 - least($1::float8, $2::float8))::bigint), 12, '0') || repeat('0', 20))::uuid
         and (delivered_at < (now() - ($1 * interval '1 millisecond')) or cancelled_at < (now() - ($2 * interval '1 millisecond')))
       order by id limit $3 for update skip locked)
    returning id, kind, name, delivery_key, status)${keep(', max(id::text) as last')}`;

/** Values: retention in ms; rows. A message that blocks its order key stays until a person decides. */
export const pruneDeadSql = `
  with gone as (
    delete from waybill.outbox_messages where id in (
      select id from waybill.outbox_messages
       where dead_at is not null and dead_at < (now() - ($1 * interval '1 millisecond'))
         and order_due is null
       order by dead_at limit $2 for update skip locked)
    returning id, kind, name, delivery_key, status)${keep()}`;

export type Pruned = {
  readonly status: string;
  readonly n: number;
  /** Of delivered and cancelled messages, the greatest id. */
  readonly last?: string;
};

export type Retention = { readonly deliveredMs: number; readonly deadMs: number; readonly keyMs: number };

const lowest = '00000000-0000-0000-0000-000000000000';

/** Batches in which nothing was left to prune, between two walks over all ids. With the pause between them, an hour. */
const shortBatches = 60;

/** Prunes batch after batch, each from where the last one ended. */
export type PruneWalk = { prune: typeof pruneBatch };

/**
 * The oldest rows are those that stay: dead messages, which are kept for longer, and messages that waited for long. A batch that began with them would
 * read all of them again (npm run bench -- years). What is left behind, because it was delivered late, is pruned in the next walk over all.
 */
export function createWalk(): PruneWalk {
  let [after, short] = [lowest, 0];
  return {
    async prune(db, retention, limit) {
      const pruned = await pruneBatch(db, retention, limit, after);
      const settled = pruned.filter(({ last }) => last !== undefined);
      const last = settled
        .map((one) => one.last!)
        .toSorted()
        .at(-1);
      if (last !== undefined) after = last;
      if (settled.reduce((sum, { n }) => sum + n, 0) < limit && ++short % shortBatches === 0) after = lowest;
      return pruned;
    },
  };
}

/**
 * One small batch of delivered and cancelled messages, and one of dead ones.
 * @param after the id after which the first of these begins
 */
export async function pruneBatch(
  db: Executor,
  retention: Retention,
  limit: number,
  after = lowest,
): Promise<Pruned[]> {
  const settled = await db.executeSql<Pruned>(pruneSettledSql, [
    retention.deliveredMs,
    retention.deadMs,
    limit,
    after,
  ]);
  const dead = await db.executeSql<Pruned>(pruneDeadSql, [retention.deadMs, limit]);
  return [...settled.rows, ...dead.rows];
}

/** Values: retention of keys in ms; rows. */
export const pruneKeysSql = `
  delete from waybill.outbox_keys where (kind, name, delivery_key) in (
    select kind, name, delivery_key from waybill.outbox_keys
     where pruned_at < (now() - ($1 * interval '1 millisecond')) limit $2 for update skip locked)
  returning true`;

/** Values: rows. Folds at most that many rows of the audit counters into one for each sum. The sums stay the same at every moment. */
export const foldAuditSql = `
  with old as (
    delete from waybill.outbox_audit where id = any(array(
      select id from waybill.outbox_audit order by id limit $1 for update skip locked)) returning *),
  folded as (
    insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
    select kind, queue, outcome, sum(n), sum(recorded) from old group by 1, 2, 3)
  select count(*)::int as n from old`;

/** Bounds the time of one statement. */
const foldLimit = 100_000;

/** @returns how many rows of each table were deleted, and whether there may be more to fold, or more groups */
export async function pruneKept(
  db: Executor,
  retention: Retention,
  limit: number,
): Promise<
  Record<'outbox_keys' | 'outbox_idempotency' | 'outbox_audit' | 'queue_groups', number> & { more: boolean }
> {
  const keys = await db.executeSql(pruneKeysSql, [retention.keyMs, limit]);
  const answers = await db.executeSql(pruneAnswersSql, [answersKeptMs, retention.keyMs, limit]);
  const folded = (await db.executeSql<{ n: number }>(foldAuditSql, [foldLimit])).rows[0]?.n ?? 0;
  const groups = await pruneGroups(db, limit);
  return {
    outbox_keys: keys.rows.length,
    outbox_idempotency: answers.rows.length,
    outbox_audit: folded,
    queue_groups: groups,
    more: folded >= foldLimit || groups >= limit,
  };
}
