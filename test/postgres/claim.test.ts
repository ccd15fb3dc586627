// The claim of a worker, on a connection of a pool and in the session that hears NOTIFY. Real: Postgres. Doubled: nothing.

import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openDedicated, type DedicatedConnection } from '../../src/db/dedicated.ts';
import type { Claimed } from '../../src/outbox/claimed.ts';
import { findDue, type Place } from '../../src/outbox/waiting.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { park } from '../../src/queues/park.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { pauseSql, resumeSql } from '../../src/queues/queues.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { claimAt } from '../../src/worker/claim.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let outbox: OutboxPort;

beforeAll(async () => {
  database = await testDatabase();
  outbox = createPostgresOutbox(database.db);
});
const clients: pg.Client[] = [];
afterAll(async () => {
  for (const client of clients) await client.end();
  await database.end();
});
beforeEach(async () => {
  await database.db.executeSql(
    'truncate waybill.outbox_messages, waybill.outbox_audit, waybill.queues cascade',
  );
});

const jobs = (queue: string, n = 1, over: Partial<NewMessage> = {}): NewMessage[] =>
  Array.from({ length: n }, () => ({ kind: 'job', name: 'noop', queue, payload: { a: [1] }, ...over }));

const record = async (messages: readonly NewMessage[]): Promise<string[]> =>
  (await outbox.enqueue(messages)).map(({ id }) => id);

type Claim = (queues: readonly string[], limit?: number, workerId?: string) => Promise<readonly Claimed[]>;

type Ask = { readonly limit: number; readonly leaseMs: number; readonly workerId: string };

const permitsOf = (queue: string): never => {
  throw new Error(`${queue} has no rate`);
};

function claimIn(
  session: DedicatedConnection | undefined,
  place: Place,
  { limit, ...lease }: Ask,
): Promise<readonly Claimed[]> {
  const { db } = database;
  return new Promise((resolve, reject) =>
    claimAt(
      { ...place, limit, begins: limit, known: undefined },
      { db, permitsOf, ...lease },
      session,
      (error, { claimed }) => (error ? reject(error) : resolve(claimed)),
    ),
  );
}

/** At one place after another, as if a NOTIFY had named each. */
function claiming(sessionOf: (workerId: string) => Promise<DedicatedConnection | undefined>): Claim {
  return async (queues, limit = 100, workerId = 'w') => {
    const session = await sessionOf(workerId);
    const places = (await findDue(database.db, queues)).places.filter(
      ({ suspects, probe }) => !suspects && !probe,
    );
    const taken: Claimed[] = [];
    for (const place of places.toSorted((a, b) => b.priority - a.priority))
      taken.push(
        ...(await claimIn(session, place, { limit: limit - taken.length, leaseMs: 60_000, workerId })),
      );
    return taken;
  };
}

/** Where a worker hears NOTIFY (src/db/listen.ts). */
async function planningSession({ db }: TestDatabase): Promise<DedicatedConnection> {
  const client = await db.connect();
  clients.push(client);
  const session = await openDedicated(client);
  expect(session.keepsPlans).toBe(true);
  return session;
}

function inSessions(): Claim {
  const sessions = new Map<string, Promise<DedicatedConnection>>();
  return claiming((workerId) => {
    if (!sessions.has(workerId)) sessions.set(workerId, planningSession(database));
    return sessions.get(workerId)!;
  });
}

const idsOf = (taken: readonly Claimed[]): string[] => taken.map(({ message }) => message.id).toSorted();

async function rowsOf(queue: string) {
  const sql = `select status, attempts, relayed_at is not null as relayed, ends, claimed_by from waybill.outbox_messages where queue = $1`;
  return (await database.db.executeSql(sql, [queue])).rows;
}

describe.each([
  ['on a connection of a pool', claiming(async () => undefined)],
  ['in the session that hears NOTIFY', inSessions()],
])('a claim, %s', (_, claim) => {
  it('C, E: gives the right to settle, and takes the message out of what waits', async () => {
    const [id] = await record(
      jobs('plain', 1, { deliveryKey: 'k1', requestId: 'r1', priority: 7, tags: ['order:4711', 'a, "b"'] }),
    );
    const [taken] = await claim(['plain']);
    expect(taken!.message).toMatchObject({
      id,
      kind: 'job',
      name: 'noop',
      queue: 'plain',
      payload: { a: [1] },
      attempt: 1,
      maxAttempts: 10,
      deliveryKey: 'k1',
      requestId: 'r1',
      traceparent: null,
      priority: 7,
      tags: ['order:4711', 'a, "b"'],
      probe: false,
    });
    expect(taken!.lag).toBeGreaterThanOrEqual(0);
    expect(await rowsOf('plain')).toEqual([
      { status: 'sending', attempts: 1, relayed: true, ends: 0, claimed_by: 'w' },
    ]);
    expect(await outbox.markDelivered(id!, '00000000-0000-4000-8000-000000000000')).toBe(false);
    expect(await outbox.markDelivered(id!, taken!.message.claimToken)).toBe(true);
    expect(await claim(['plain'])).toEqual([]);
  });

  it('C: several workers at once take each message once', async () => {
    const ids = await record(jobs('raced', 600));
    const seen: string[] = [];
    const worker = async (workerId: string): Promise<void> => {
      while (seen.length < ids.length) seen.push(...idsOf(await claim(['raced'], 7, workerId)));
    };
    await Promise.all(['a', 'b', 'c', 'd'].map(worker));
    expect(seen.toSorted()).toEqual(ids.toSorted());
    expect((await verifyOutbox(database.db)).findings).toEqual([]);
  });

  it('takes what failed before like everything else, in the order in which it is due', async () => {
    const ids = await record(jobs('tried', 5));
    const tried = ids.slice(1, 3);
    const held = await outbox.claimBatch({ ids: tried, limit: 2, leaseMs: 60_000, workerId: 'w' });
    for (const { id, claimToken } of held) await outbox.markFailed(id, claimToken, 'no luck');
    expect(idsOf(await claim(['tried'], 3))).toEqual(ids.filter((id) => !tried.includes(id)).toSorted());
    const again = await claim(['tried']);
    expect(idsOf(again)).toEqual(tried.toSorted());
    expect(again.map(({ message }) => message.attempt)).toEqual([2, 2]);
  });

  it('what was released may be claimed again', async () => {
    const [id] = await record(jobs('returned'));
    const [first] = await claim(['returned']);
    await outbox.settle([
      { id: id!, claimToken: first!.message.claimToken, to: 'released', error: null, delay: 0 },
    ]);
    const [second] = await claim(['returned']);
    expect(second!.message).toMatchObject({ id, attempt: 1 });
  });

  it('takes nothing from a paused, a parked or a held queue, and from its neighbours it does', async () => {
    const { db } = database;
    const closed = ['paused', 'parked', 'held'];
    await db.executeSql(
      `insert into waybill.queues (name, app_limits) select unnest($1::text[]), '{"rampMs":0}'`,
      [closed],
    );
    await db.executeSql(pauseSql, ['paused', 'a person', 'a reason', null, null]);
    const [probe] = await record(jobs('parked'));
    await park(db, 'parked', { reason: 'no key', worker: 'w', message: probe! });
    await db.executeSql(
      `update waybill.queues set parked_at = coalesce(parked_at, now()), probe_at = coalesce(probe_at, now()) where name = 'parked'`,
    );
    await db.executeSql(
      `update waybill.queues set held_until = now() + interval '1 hour' where name = 'held'`,
    );
    await record([...jobs('paused'), ...jobs('held')]);
    const neighbours = await record(jobs('open', 2));
    expect(idsOf(await claim([...closed, 'open']))).toEqual(neighbours.toSorted());
    for (const queue of closed)
      expect(await rowsOf(queue)).toMatchObject([{ status: 'pending', relayed: false }]);
    await db.executeSql(resumeSql, ['paused']);
    expect(await claim(closed)).toHaveLength(1);
  });

  it('takes only from the queues that are named, only what is due, and no more than was asked for', async () => {
    await record([
      ...jobs('mine', 5),
      ...jobs('mine', 5, { availableAt: new Date(Date.now() + 3_600_000) }),
      ...jobs('mine', 2, { priority: 9, availableAt: new Date(Date.now() + 3_600_000) }),
      ...jobs('theirs', 5),
    ]);
    expect(await claim(['mine'], 3)).toHaveLength(3);
    expect(await claim(['mine'], 30)).toHaveLength(2);
    expect(await rowsOf('theirs')).toEqual(Array(5).fill(expect.objectContaining({ status: 'pending' })));
  });

  it('takes higher priorities first', async () => {
    const [low] = await record(jobs('ranked', 1, { priority: -5 }));
    const [normal, urgent] = await record([...jobs('ranked'), ...jobs('ranked', 1, { priority: 100 })]);
    expect(idsOf(await claim(['ranked'], 1))).toEqual([urgent]);
    expect(idsOf(await claim(['ranked'], 1))).toEqual([normal]);
    expect(idsOf(await claim(['ranked'], 1))).toEqual([low]);
  });

  it('what is locked or cancelled is left out', async () => {
    const { db } = database;
    const [locked, cancelled, free] = await record(jobs('locked', 3));
    await outbox.cancel(cancelled!);
    await db.transaction(async (tx) => {
      await tx.executeSql('select from waybill.outbox_messages where id = $1 for update', [locked]);
      expect(idsOf(await claim(['locked']))).toEqual([free]);
    });
    expect(idsOf(await claim(['locked']))).toEqual([locked]);
  });
});

describe('a plan that a session made while the table was empty', () => {
  const ask = { limit: 10, leaseMs: 60_000, workerId: 'w' };
  it('I: serves a large one: no row but the ones taken is looked at', async () => {
    const other = await testDatabase({ max: 1 });
    try {
      const db = await planningSession(other);
      const claim = () => claimIn(db, { queue: 'jobs', priority: 2 }, ask);
      await db.executeSql('alter table waybill.outbox_messages set (autovacuum_enabled = off)');
      for (let i = 0; i < 10; i++) await claim();
      await db.executeSql(
        `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, priority)
           select gen_random_uuid(), 'job', 'noop', 'jobs', '{}', 5, i % 3 from generate_series(1, 30000) i`,
      );
      const blocks = async (): Promise<number> => {
        await db
          .executeSql('select pg_stat_clear_snapshot(), pg_stat_force_next_flush()')
          .catch(() => undefined);
        const sql = `select seq_scan::int as n from pg_stat_user_tables where relname = 'outbox_messages' and schemaname = 'waybill'`;
        return (await db.executeSql<{ n: number }>(sql)).rows[0]!.n;
      };
      const before = await blocks();
      for (let i = 0; i < 20; i++) expect(await claim()).toHaveLength(10);
      expect((await blocks()) - before).toBe(0);
    } finally {
      for (const client of clients.splice(0)) await client.end();
      await other.end();
    }
  });
});
