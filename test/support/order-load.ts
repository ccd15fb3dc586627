// Orders that are placed all the time, each in a transaction with its email, and which of them the database acknowledged. What arrived is known from
// the mail server, not from the database.

import { setInterval } from 'node:timers/promises';
import pg from 'pg';
import { prepareEmail } from '../../src/email/email.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { SmtpServer } from './smtp.ts';

export const ordersTable = 'create table orders (id text primary key)';

export type OrderLoad = {
  /** Orders whose commit was answered. */
  readonly acknowledged: ReadonlySet<string>;
  /** Ends it, and waits for the transactions that are under way. */
  stop(): Promise<void>;
};

const domain = 'orders.test';

/** Places an order every `everyMs`; while the database does not answer, at most 20 wait for it. */
export function placeOrders(url: string, everyMs: number): OrderLoad {
  const settings = { connectionTimeoutMillis: 2_000, query_timeout: 4_000, max: 20 };
  const pool = new pg.Pool({ connectionString: url, ...settings });
  pool.on('error', () => undefined); // the server dies on purpose
  const acknowledged = new Set<string>();
  const underWay = new Set<Promise<void>>();
  const stopped = new AbortController();
  let placed = 0;

  async function place(id: string): Promise<void> {
    const client = await pool.connect();
    let error: Error | undefined;
    const onError = (): void => undefined; // its query fails too
    client.on('error', onError);
    try {
      await client.query('begin');
      await client.query('insert into orders (id) values ($1)', [id]);
      const email = { from: `shop@${domain}`, to: `${id}@${domain}`, subject: 'Receipt', text: id };
      const payload = prepareEmail(email, { defaultFrom: null });
      await createPostgresOutbox(client).enqueue({ kind: 'email', name: 'email', queue: 'email', payload });
      await client.query('commit');
      acknowledged.add(id);
    } catch (thrown) {
      error = thrown as Error;
      throw error;
    } finally {
      client.off('error', onError);
      client.release(error);
    }
  }

  const running = (async () => {
    for await (const _ of setInterval(everyMs)) {
      if (stopped.signal.aborted) return;
      if (underWay.size >= 20) continue;
      const one = place(`order-${placed++}`).catch(() => undefined); // not acknowledged: it may exist or not
      underWay.add(one);
      void one.then(() => underWay.delete(one));
    }
  })();
  async function end(): Promise<void> {
    stopped.abort();
    await running;
    await Promise.all(underWay);
    await pool.end();
  }
  let ended: Promise<void> | undefined;
  return { acknowledged, stop: () => (ended ??= end()) };
}

/** How often the mail of each order was accepted. */
export function arrivals(smtp: SmtpServer): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { envelope } of smtp.mails) {
    const id = envelope.to[0]!.split('@')[0]!;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}
