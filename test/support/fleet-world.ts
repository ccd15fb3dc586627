// A database, an outbox and a fleet for one test file, and the questions that fleet tests ask.

import { countersSql } from '../../src/metrics/fleet.ts';
import type { NewMessage, Status } from '../../src/message/message.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { testFleet, type TestFleet } from './fleet.ts';
import { until } from './wait.ts';

export type World = {
  readonly database: TestDatabase;
  readonly outbox: OutboxPort;
  readonly fleet: TestFleet;
  enqueue(name: string, payload: unknown, count?: number, over?: Partial<NewMessage>): Promise<string[]>;
  /** Waits until nothing is pending, sending or failed. */
  quiet(timeoutMs?: number): Promise<void>;
  counts(): Promise<Partial<Record<Status, number>>>;
  /** How often each message left this mark. */
  marks(what: string): Promise<Map<string, number>>;
  count(sql: string, values?: unknown[]): Promise<number>;
  /** A counter of the whole fleet. */
  counter(name: string): Promise<number>;
  end(): Promise<void>;
};

export const marksTables = `
  create table marks (message_id uuid, attempt int, what text, pid int, at timestamptz default clock_timestamp());
  create table effects (message_id uuid)`;

export async function fleetWorld(env: Readonly<Record<string, string>> = {}): Promise<World> {
  const database = await testDatabase();
  const { db } = database;
  await db.executeSql(marksTables);
  const outbox = createPostgresOutbox(db);
  const fleet = testFleet({
    DATABASE_URL: database.url,
    WAYBILL_APP: 'test/support/fleet-app.ts',
    WAYBILL_LEASE: '2s',
    WAYBILL_POLL_INTERVAL: '200ms',
    ...env,
  });

  async function count(sql: string, values: unknown[] = []): Promise<number> {
    return (await db.executeSql<{ n: number }>(sql, values)).rows[0]?.n ?? 0;
  }

  return {
    database,
    outbox,
    fleet,
    count,
    async enqueue(name, payload, n = 1, over = {}) {
      const message = { kind: 'job' as const, name, queue: 'jobs', payload, ...over };
      return (await outbox.enqueue(Array.from({ length: n }, () => message))).map((one) => one.id);
    },
    async quiet(timeoutMs = 40_000) {
      const live = `select count(*)::int as n from waybill.outbox_messages where status in ('pending', 'sending', 'failed')`;
      await until(async () => (await count(live)) === 0, { timeoutMs, what: 'a quiet outbox' });
    },
    async counts() {
      const { rows } = await db.executeSql<{ status: Status; n: number }>(
        `select status, count(*)::int as n from waybill.outbox_messages group by 1`,
      );
      return Object.fromEntries(rows.map((row) => [row.status, row.n]));
    },
    async marks(what) {
      const sql = `select message_id as id, count(*)::int as n from marks where what = $1 group by 1`;
      return new Map(
        (await db.executeSql<{ id: string; n: number }>(sql, [what])).rows.map((row) => [row.id, row.n]),
      );
    },
    counter: (name) =>
      count(`select coalesce(sum(value), 0)::int as n from (${countersSql}) c where name = $1`, [name]),
    async end() {
      await fleet.end();
      const { findings } = await verifyOutbox(db);
      await database.end();
      if (findings.length > 0) throw new Error(`the books do not balance: ${JSON.stringify(findings)}`);
    },
  };
}
