// The load: orders placed all the time, each in a transaction. Some are rolled back on purpose, some are placed twice. What is committed is known at
// the end from the table of orders, because a commit whose answer was lost may have succeeded.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Draw } from './seed.ts';
import type { Order, Subject } from './subject.ts';
import { now } from './clock.ts';

export type Load = {
  /** Orders whose transaction was begun. */
  readonly placed: number;
  /** Orders that were rolled back on purpose. */
  readonly rolledBack: ReadonlySet<string>;
  /** Resolves when no order is being placed any more. */
  stop(): Promise<void>;
};

export type LoadOptions = {
  readonly db: pg.Pool;
  readonly subject: Subject;
  readonly draw: Draw;
  /** Orders a second. */
  readonly rate: number;
  readonly leaseMs: number;
};

const accounts = 6;
const tenants = 4;
/** Transactions at a time; more wait, while the database is away. */
const most = 8;

export function startLoad({ db, subject, draw, rate, leaseMs }: LoadOptions): Load {
  const over = new AbortController();
  const rolledBack = new Set<string>();
  const under = new Set<Promise<void>>();
  const orders = orderSource(draw, leaseMs);
  const count = { placed: 0 };

  async function placeOne(order: Order, fate: number): Promise<void> {
    orders.begin(order);
    count.placed++;
    try {
      if (fate < 0.1) rolledBack.add(order.id);
      await transaction(db, subject, order, fate >= 0.1);
      if (fate >= 0.1) await subject.placeAfter?.(order);
      if (fate > 0.9 && !subject.placesOnce) await transaction(db, subject, order, true); // its request came twice
    } catch {
      // the database was away; whether it was committed is in the table of orders
    } finally {
      orders.end(order);
    }
  }

  const running = (async () => {
    for (let due = now(); !over.signal.aborted; due += 1_000 / rate) {
      await sleep(Math.max(0, due - now()), undefined, { signal: over.signal }).catch(() => undefined);
      due = Math.max(due, now() - 1_000); // after an outage there is no flood
      const fate = draw.next();
      const order = under.size < most ? orders.next() : undefined;
      if (order === undefined || over.signal.aborted) continue;
      const work = placeOne(order, fate).finally(() => under.delete(work));
      under.add(work);
    }
    await Promise.all(under);
  })();
  return {
    get placed() {
      return count.placed;
    },
    rolledBack,
    async stop() {
      over.abort();
      await running;
    },
  };
}

/** Orders as the seed draws them. An account has one order at a time, because the order of its commits must be known. */
function orderSource(draw: Draw, leaseMs: number) {
  const busy = new Set<string>();
  const seqs = new Map<string, number>();
  return {
    /** @returns undefined while the account that was drawn has an order under way */
    next(): Order | undefined {
      const account = `account-${draw.below(accounts)}`;
      const [tenant, kind, length] = [`tenant-${draw.below(tenants)}`, draw.next(), draw.next()];
      if (busy.has(account)) return undefined;
      const seq = (seqs.get(account) ?? 0) + 1;
      seqs.set(account, seq);
      // One in a hundred outlasts its lease, which must be renewed.
      const ms = Math.round(kind < 0.01 ? leaseMs * 1.4 : 20 + length * 280);
      return { id: randomUUID(), account, seq, tenant, ms };
    },
    begin: ({ account }: Order) => void busy.add(account),
    end: ({ account }: Order) => void busy.delete(account),
  };
}

async function transaction(db: pg.Pool, subject: Subject, order: Order, commits: boolean): Promise<void> {
  const client = await db.connect();
  let broken: Error | undefined;
  const onError = (error: Error): void => void (broken = error);
  client.on('error', onError);
  try {
    await client.query('begin');
    await client.query(
      'insert into chaos.orders (id, account, seq, tenant) values ($1, $2, $3, $4) on conflict do nothing',
      [order.id, order.account, order.seq, order.tenant],
    );
    await subject.place(client, order);
    await client.query(commits ? 'commit' : 'rollback');
  } catch (error) {
    broken ??= error as Error;
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken ?? false);
  }
}
