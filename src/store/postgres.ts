// OutboxPort on Postgres. Each change is one statement, so it is atomic under any executor, inside or outside a transaction.
// It keeps invariants A (record), C (the token is in every settling `where`), E (claim counts) and H (only the database's clock).

import { toExecutor, type Executor, type PgLike } from '../db/executor.ts';
import { qualified } from '../db/qualified.ts';
import { arrayText, textOf } from '../db/values.ts';
import { claimBatch } from '../outbox/batch.ts';
import { extendSql, expireLeases } from '../outbox/expire.ts';
import { checkClaim } from '../message/id.ts';
import { checkMessage, defaultMaxPayloadBytes, type Enqueued, type NewMessage } from '../message/message.ts';
import { onceOn } from '../outbox/once.ts';
import { cancelSql } from '../operate/operate.ts';
import type { Settlement } from '../message/outcome.ts';
import {
  type Claim,
  type ClaimRequest,
  type FailOptions,
  type OutboxPort,
  checkClaimRequest,
  checkFailOptions,
  checkOnce,
} from '../outbox/port.ts';
import { checkId } from '../operate/read.ts';
import { record } from '../outbox/record.ts';
import { advanceOrders } from '../outbox/order.ts';
import { passKeys, recordReplacing } from '../outbox/replace.ts';
import { checkOptions } from '../options.ts';
import { payloadKeysOf, type PayloadKeys } from '../message/seal.ts';
import { sealed, type Recording } from '../outbox/sealing.ts';
import { settleOn } from '../outbox/settle.ts';
import { tableNamed, type TableOptions } from '../outbox/table.ts';
import { findDue } from '../outbox/waiting.ts';
import { failedWith } from './failed.ts';
import { withoutUnfit } from '../operate/unfit.ts';

/** What `createPostgresOutbox` takes. */
export type PostgresOutboxOptions = TableOptions & {
  /** Maximum payload in bytes of JSON; default 262,144. */
  readonly maxPayloadBytes?: number;
  /** For sensitive messages: `id:key,…` as in WAYBILL_PAYLOAD_KEYS, or the keys. Default: none, so sensitive messages are refused. */
  readonly payloadKeys?: string | PayloadKeys | undefined;
};

/**
 * Creates the outbox of a Postgres.
 * @param source an executor, a pg client in a transaction, or a pg pool. To record atomically with business rows, pass the
 * client (or adapter) of that transaction. Outside a transaction each call commits on its own, which suits claiming and settling.
 * @throws WaybillError `table_name_invalid`, `payload_keys_invalid`
 */
// oxlint-disable-next-line max-lines-per-function -- one small function for each method of the port
export function createPostgresOutbox(
  source: Executor | PgLike,
  options: PostgresOutboxOptions = {},
): OutboxPort {
  checkOptions('createPostgresOutbox', options, ['tableName', 'maxPayloadBytes', 'payloadKeys']);
  const db = namedFor(toExecutor(source), options);
  const maxBytes = options.maxPayloadBytes ?? defaultMaxPayloadBytes;
  const keys = payloadKeysOf(options.payloadKeys);

  // Methods, because an outbox is created for each transaction, and tsx sets the name of any other function each time.
  const outbox: OutboxPort = {
    enqueue(given: NewMessage | readonly NewMessage[]) {
      return enqueueOn(db, { maxBytes, keys }, given) as Promise<Enqueued & Enqueued[]>;
    },
    async settle(settlements: readonly Settlement[]) {
      return settleOn(db, settlements, keys);
    },
    async claimBatch(request: ClaimRequest) {
      checkClaimRequest(request);
      if (request.limit < 1 || request.ids?.length === 0) return [];
      return withoutUnfit(db, ignored, () => claimBatch(db, request));
    },
    async markDelivered(id, claimToken, then = []) {
      checkClaim('markDelivered', id, claimToken);
      for (const message of then) checkMessage(message, maxBytes);
      return (await outbox.settle([{ id, claimToken, to: 'delivered', then }])).length === 1;
    },
    async markFailed(id, claimToken, error, options: FailOptions = {}) {
      checkFailOptions(options);
      checkClaim('markFailed', id, claimToken);
      return (await outbox.settle([failedWith({ id, claimToken }, error, options)])).length === 1;
    },
    async extend(claims: readonly Claim[], leaseMs) {
      if (claims.length === 0) return [];
      const [ids, tokens] = [claims.map((c) => c.id), claims.map((c) => c.claimToken)];
      const values = [arrayText(ids), arrayText(tokens), leaseMs];
      return (await db.executeSql<{ id: unknown }>(extendSql, values)).rows.map((r) => textOf(r.id));
    },
    async expire(limit) {
      const ended = await withoutUnfit(db, ignored, () => expireLeases(db, limit));
      await passKeys(db, limit);
      await advanceOrders(db, limit);
      return ended;
    },
    async hasDue(queue) {
      return (await findDue(db, [queue])).places.length > 0;
    },
    async cancel(id) {
      checkId(id);
      return (await db.executeSql(cancelSql, [id])).rows.length === 1;
    },
    async once(about, make) {
      checkOnce(about);
      return onceOn(db, about, make);
    },
    on(other) {
      return createPostgresOutbox(other, options);
    },
  };
  return outbox;
}

const ignored = (): void => undefined;

async function enqueueOn(
  db: Executor,
  { maxBytes, keys }: Recording,
  given: NewMessage | readonly NewMessage[],
): Promise<Enqueued | Enqueued[]> {
  const many = Array.isArray(given) ? (given as readonly NewMessage[]) : [given as NewMessage];
  const checked = many.map((message) => sealed(checkMessage(message, maxBytes), keys));
  const replaces = checked.some(({ replace }) => replace !== undefined);
  const recorded = await (replaces ? recordReplacing : record)(db, checked);
  return Array.isArray(given) ? recorded : recorded[0]!;
}

/** Rewrites statements for another table name, and so that the application's search_path does not matter. */
export function namedFor(db: Executor, { tableName }: TableOptions): Executor {
  if (tableName === undefined && db.hasOwnPath) return db;
  const tableFor = tableName === undefined ? undefined : tableNamed(tableName);
  const sqlFor = (text: string): string => {
    const sql = tableFor ? tableFor(text) : text;
    return db.hasOwnPath ? sql : qualified(sql);
  };
  return {
    ...(db.isPlanned && { isPlanned: true }),
    executeSql: (text, values, often) => db.executeSql(sqlFor(text), values, often),
  };
}
