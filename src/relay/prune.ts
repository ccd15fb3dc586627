// The step *prune*: settled messages past their retention are deleted, in small batches that hold no long lock. So are old delivery keys and
// idempotency keys, groups of which nothing need be known, and what processes that died left behind; the audit counters are folded.

import { pruneActs } from '../operate/audit.ts';
import { notePrunes } from '../operate/storage.ts';
import { pruneBulk } from '../operate/bulk.ts';
import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { withoutUnfit } from '../operate/unfit.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import { pruneGroups } from '../queues/forgotten-groups.ts';
import { answersKeptMs, pruneAnswersSql } from '../outbox/once.ts';
import { forgetProcesses } from '../process/heartbeat.ts';

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
    const { pruned, isFull } = await withoutUnfit(db, events.unfit, () => walk.prune(db, retention, batch));
    for (const { status, n } of pruned) events.pruned(status, n);
    const { more, ...kept } = await pruneKept(db, retention, batch);
    const acts = await pruneActs(db, auditRetentionMs, batch);
    await pruneBulk(db, auditRetentionMs, batch);
    await forgetProcesses(db);
    const messages = pruned.reduce((sum, { n }) => sum + n, 0);
    await notePrunes(db, { outbox_messages: messages, audit: acts, ...kept });
    observe('pruned', { rows: pruned });
    return isFull || more || acts >= batch ? breath : idle;
  };
}

/** `gone` → keys kept, audit counters written. */
const keep = `
  , keys as (
    insert into waybill.outbox_keys as k (kind, name, delivery_key, message_id)
    select kind, name, delivery_key, id from gone where delivery_key is not null and status = 'delivered'
    on conflict (kind, name, delivery_key) do update set message_id = excluded.message_id, pruned_at = excluded.pruned_at
      where k.pruned_at < 'infinity'),
  audited as (
    insert into waybill.outbox_audit (kind, outcome, n)
    select kind, 'pruned ' || status, count(*) from gone group by kind, status)`;

/**
 * Ids are time-ordered, so it walks the primary key, from one id to the first id that is too young and over so many rows at most. An index on
 * `delivered_at` would add to each settling. It gives one row: how many it deleted, the last of them, and the last id of the stretch that it read; null:
 * it read all that are old enough. Values: retention in ms, rows to delete, rows to read, the id after which it begins.
 */
export const pruneDeliveredSql = `
  with young as materialized (
    select (lpad(to_hex((extract(epoch from now()) * 1000 - $1::float8)::bigint), 12, '0') || repeat('0', 20))::uuid as id),
  stretch as materialized (
    select id from waybill.outbox_messages where id > $4 and id < (select id from young) order by id offset $3 - 1 limit 1),
  gone as (
    delete from waybill.outbox_messages where id in (
      select id from waybill.outbox_messages
       where id > $4 and id <= coalesce((select id from stretch), (select id from young))
         and delivered_at < (now() - ($1 * interval '1 millisecond'))
       order by id limit $2 for update skip locked)
    returning id, kind, name, delivery_key, status)${keep}
  select count(*)::int as n, max(id::text) as last, (select id::text from stretch) as till from gone`;

/** Values: retention in ms; rows. A message that blocks its order key stays until a person decides. */
const pruneUndeliveredSql = (at: 'dead_at' | 'cancelled_at'): string => `
  with gone as (
    delete from waybill.outbox_messages where id in (
      select id from waybill.outbox_messages
       where ${at} is not null and ${at} < (now() - ($1 * interval '1 millisecond'))
         and order_due is null
       order by ${at} limit $2 for update skip locked)
    returning id, kind, name, delivery_key, status)${keep}
  select status, count(*)::int as n from gone group by status`;

export const pruneDeadSql = pruneUndeliveredSql('dead_at');
export const pruneCancelledSql = pruneUndeliveredSql('cancelled_at');

export type Pruned = { readonly status: string; readonly n: number };

export type Retention = { readonly deliveredMs: number; readonly deadMs: number; readonly keyMs: number };

export type PrunedBatch = {
  readonly pruned: readonly Pruned[];
  /** There may be more to prune at once. */
  readonly isFull: boolean;
  /** The id after which the next batch of delivered messages begins. */
  readonly next: string;
};

const lowest = '00000000-0000-0000-0000-000000000000';

/** Rows that are read for each one that may be deleted. A batch among rows that stay costs no more than this. */
const readPerRow = 5;

/** Batches in which nothing was left to prune, between two walks over all ids. With the pause between them, an hour. */
const shortBatches = 60;

/** Prunes batch after batch, each from where the last one ended. */
export type PruneWalk = {
  prune(db: Executor, retention: Retention, limit: number): Promise<PrunedBatch>;
};

/**
 * The oldest rows are those that stay: dead messages, which are kept for longer, and messages that waited for long. A batch that began with them would
 * read all of them again (npm run bench -- years). What is left behind, because it was delivered late, is pruned in the next walk over all.
 */
export function createWalk(): PruneWalk {
  let [after, short] = [lowest, 0];
  return {
    async prune(db, retention, limit) {
      const batch = await pruneBatch(db, retention, limit, after);
      after = batch.next;
      if (!batch.isFull && ++short % shortBatches === 0) after = lowest;
      return batch;
    },
  };
}

/**
 * One small batch of delivered messages, one of cancelled ones, and one of dead ones.
 * @param after the id after which the first of these begins
 */
export async function pruneBatch(
  db: Executor,
  retention: Retention,
  limit: number,
  after = lowest,
): Promise<PrunedBatch> {
  type Walked = { readonly n: number; readonly last: string | null; readonly till: string | null };
  const values = [retention.deliveredMs, limit, readPerRow * limit, after];
  const { n, last, till } = (await db.executeSql<Walked>(pruneDeliveredSql, values)).rows[0]!;
  const cancelled = await db.executeSql<Pruned>(pruneCancelledSql, [retention.deadMs, limit]);
  const dead = await db.executeSql<Pruned>(pruneDeadSql, [retention.deadMs, limit]);
  const pruned = [{ status: 'delivered', n }, ...cancelled.rows, ...dead.rows].filter((one) => one.n > 0);
  return {
    pruned,
    isFull: till !== null || pruned.some((one) => one.n >= limit),
    next: (n < limit && till) || (last ?? after),
  };
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

/** @returns how many rows of each table were deleted, and whether there may be more of any */
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
    more:
      folded >= foldLimit ||
      [keys.rows, answers.rows].some(({ length }) => length >= limit) ||
      groups >= limit,
  };
}
