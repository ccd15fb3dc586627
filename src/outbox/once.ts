// Runs an operation once for each key: the key, the answer and the effects commit together or not at all.
// `idempotent(ctx, key, fn)` of handlers and Idempotency-Key over HTTP share one table.

import type { Executor } from '../db/executor.ts';
import { flagOf, textOrNull } from '../db/values.ts';
import type { Milliseconds } from '../ports.ts';
import { WaybillError } from '../errors.ts';

/** Which call is to run once. */
export type Once = {
  /** Namespace of the key: the same key in two scopes is two keys. */
  readonly scope: string;
  /** Names the call: a second one with this key gets the first answer. */
  readonly key: string;
  /** Fingerprint of the request: the same key with another fingerprint is an error. */
  readonly fingerprint?: string | undefined;
  /** An older key counts as gone. Default: a key is valid until it is pruned. */
  readonly maxAgeMs?: Milliseconds | undefined;
  /** Throw instead of waiting for a call with the same key that is still running. */
  readonly noWait?: boolean | undefined;
};

/** The answer of a call that runs once. */
export type Answered = {
  /** What `make` returned, as JSON carries it. */
  readonly answer: unknown;
  /** True: the answer is the stored one, and nothing was done. */
  readonly repeated: boolean;
};

/** Held until the transaction ends. It is a hash: in theory two keys may share it, and one caller is refused without need. */
export const lockKeySql = `select pg_try_advisory_xact_lock(hashtextextended($1, 0))::text as free`;

/** Waits for a transaction that holds the key uncommitted. Values: scope, key, fingerprint or null, maximum age in ms or null. */
export const takeKeySql = `
  insert into waybill.outbox_idempotency as k (scope, key, fingerprint) values ($1, $2, $3)
  on conflict (scope, key) do update set fingerprint = excluded.fingerprint, answer = null, created_at = excluded.created_at
    where k.created_at < (clock_timestamp() - ($4::float8 * interval '1 millisecond'))
  returning key`;

export const keptAnswerSql = `select fingerprint, answer from waybill.outbox_idempotency where scope = $1 and key = $2`;

export const keepAnswerSql = `update waybill.outbox_idempotency set answer = $3 where scope = $1 and key = $2`;

/** An Idempotency-Key of HTTP is kept for a day. */
export const answersKeptMs: Milliseconds = 24 * 3_600_000;

/** Deletes keys past their retention. Values: age in ms of keys with a fingerprint, of keys without one, limit of rows for each. */
export const pruneAnswersSql = `
  with asked as (
    select scope, key from waybill.outbox_idempotency
     where fingerprint is not null and created_at < (clock_timestamp() - ($1::float8 * interval '1 millisecond'))
     limit $3 for update skip locked),
  handled as (
    select scope, key from waybill.outbox_idempotency
     where fingerprint is null and created_at < (clock_timestamp() - ($2::float8 * interval '1 millisecond'))
     limit $3 for update skip locked)
  delete from waybill.outbox_idempotency
   where (scope, key) in (select scope, key from asked union all select scope, key from handled)
  returning true`;

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

/** The stored answer, for a repeated call. Also used by the outbox in memory. */
export function repeated(kept: Kept | undefined, about: Once): Answered {
  if (kept === undefined) return { answer: null, repeated: true }; // pruned between the two statements
  if (kept.fingerprint !== (about.fingerprint ?? null))
    throw new WaybillError(
      'idempotency_key_reused',
      'this Idempotency-Key was used before with other arguments: take a new key for a new call',
    );
  return { answer: kept.answer === null ? null : (JSON.parse(kept.answer) as unknown), repeated: true };
}
