// Something is done once for each key: the key, the answer and the effect commit together, or none of them exists.
// One table for two uses: `idempotent(ctx, key, fn)` of handlers, and Idempotency-Key over HTTP.

import type { Executor } from '../db/executor.ts';
import { flagOf, textOrNull } from '../db/values.ts';
import type { Milliseconds } from '../ports.ts';
import { WaybillError } from '../errors.ts';

export type Once = {
  /** Whose keys these are: the same key in two scopes is two keys. */
  readonly scope: string;
  readonly key: string;
  /** Of what was asked for: the same key with another fingerprint is a mistake. */
  readonly fingerprint?: string | undefined;
  /** An older key counts as gone; without it, it stands until it is pruned. */
  readonly maxAgeMs?: Milliseconds | undefined;
  /** Do not wait for a first that is still running: throw. */
  readonly noWait?: boolean | undefined;
};

export type Answered = {
  readonly answer: unknown;
  /** The kept answer: nothing was done this time. */
  readonly repeated: boolean;
};

/** Held until the transaction ends; a hash, so two keys may in theory share one and one caller is turned away for nothing. */
export const lockKeySql = `select pg_try_advisory_xact_lock(hashtextextended($1, 0))::text as free`;

/** Waits for a transaction that holds the key uncommitted. Scope, key, fingerprint or null, greatest age in ms or null. */
export const takeKeySql = `
  insert into waybill.outbox_idempotency as k (scope, key, fingerprint) values ($1, $2, $3)
  on conflict (scope, key) do update set fingerprint = excluded.fingerprint, answer = null, created_at = excluded.created_at
    where k.created_at < (clock_timestamp() - ($4::float8 * interval '1 millisecond'))
  returning key`;

export const keptAnswerSql = `select fingerprint, answer from waybill.outbox_idempotency where scope = $1 and key = $2`;

export const keepAnswerSql = `update waybill.outbox_idempotency set answer = $3 where scope = $1 and key = $2`;

/** How long an Idempotency-Key of HTTP holds: a day. */
export const answersKeptMs: Milliseconds = 24 * 3_600_000;

/** Keys past their retention: age in ms of those with a fingerprint, of those without, rows. */
export const pruneAnswersSql = `
  with asked as (
    select scope, key from waybill.outbox_idempotency
     where fingerprint is not null and created_at < clock_timestamp() - $1::float8 * interval '1 millisecond'
     limit $3 for update skip locked),
  handled as (
    select scope, key from waybill.outbox_idempotency
     where fingerprint is null and created_at < clock_timestamp() - $2::float8 * interval '1 millisecond'
     limit $3 for update skip locked)
  delete from waybill.outbox_idempotency
   where (scope, key) in (select scope, key from asked union all select scope, key from handled)`;

/** @throws WaybillError `idempotency_key_running`, `idempotency_key_reused`, and what `make` throws */
export async function onceOn(db: Executor, about: Once, make: () => Promise<unknown>): Promise<Answered> {
  const { scope, key, fingerprint = null, maxAgeMs = null, noWait = false } = about;
  if (noWait) await lockKey(db, about);
  const taken = await db.executeSql(takeKeySql, [scope, key, fingerprint, maxAgeMs]);
  if (taken.rows.length === 0) {
    const { rows } = await db.executeSql<Kept>(keptAnswerSql, [scope, key]);
    const kept = rows.map((row) => ({
      fingerprint: textOrNull(row.fingerprint),
      answer: textOrNull(row.answer),
    }));
    return repeated(kept[0], about);
  }
  const answer = await make();
  await db.executeSql(keepAnswerSql, [scope, key, JSON.stringify(answer) ?? 'null']);
  return { answer, repeated: false };
}

async function lockKey(db: Executor, { scope, key }: Once): Promise<void> {
  const { rows } = await db.executeSql(lockKeySql, [JSON.stringify([scope, key])]);
  if (!flagOf(rows[0]?.['free'])) throw keyRunning();
}

export function keyRunning(): WaybillError {
  return new WaybillError(
    'idempotency_key_running',
    'a call with this Idempotency-Key is still running: ask again in a moment, with the same key',
  );
}

export type Kept = { readonly fingerprint: string | null; readonly answer: string | null };

/** The answer that stands, for somebody who asks again. Also for the outbox in memory. */
export function repeated(kept: Kept | undefined, about: Once): Answered {
  if (kept === undefined) return { answer: null, repeated: true }; // pruned between the two statements
  if (kept.fingerprint !== (about.fingerprint ?? null))
    throw new WaybillError(
      'idempotency_key_reused',
      'this Idempotency-Key was used before with other arguments: take a new key for a new call',
    );
  return { answer: kept.answer === null ? null : (JSON.parse(kept.answer) as unknown), repeated: true };
}
