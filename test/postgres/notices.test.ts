// What operators are told by webhook: everything once, many of one sort together, signed, again until it is taken.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { defineApp } from '../../src/define/app.ts';
import { createRegistry } from '../../src/define/registry.ts';
import { drainOutbox } from '../../src/drain/drain.ts';
import { newId } from '../../src/message/id.ts';
import { noticeJobName, withNotices } from '../../src/notice/job.ts';
import { createWatch, tellVerification } from '../../src/notice/watch.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { waybill } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

const secret = `whsec_${Buffer.from('a secret of the tests, 32 bytes!').toString('base64')}`;
type Heard = { readonly id: string; readonly notice: { type: string; data: Record<string, unknown> } };

let database: TestDatabase;
let outbox: OutboxPort;
let server: Server;
let url: string;
const heard: Heard[] = [];
let answers: number[] = [];
let retryAfter: string | undefined;
let nudges = 0;

beforeAll(async () => {
  database = await testDatabase();
  outbox = createPostgresOutbox(database.db);
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const status = answers.shift() ?? 204;
      if (status === 204) {
        const body = Buffer.concat(chunks).toString();
        const notice = new Webhook(secret).verify(
          body,
          request.headers as Record<string, string>,
        ) as Heard['notice'];
        heard.push({ id: String(request.headers['webhook-id']), notice });
      }
      response.writeHead(status, retryAfter === undefined ? {} : { 'retry-after': retryAfter }).end();
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
});
beforeEach(async () => {
  heard.length = 0;
  answers = [];
  retryAfter = undefined;
  await database.db.executeSql(
    'truncate waybill.outbox_messages, waybill.notices_told, waybill.cron_runs cascade',
  );
  await database.db.executeSql('truncate waybill.outbox_audit');
  await database.db.executeSql('update waybill.queues set parked_at = null, probe_at = null');
});
afterEach(() => server.closeAllConnections());
afterAll(async () => {
  server.close();
  await database.end();
});

const watch = () =>
  createWatch({ db: database.db, outboxOn: createPostgresOutbox, notify: () => void nudges++ })();

async function tell(): Promise<void> {
  const registry = createRegistry(withNotices(defineApp({}), { url, secret }));
  await drainOutbox({ outbox, registry, pool: database.db });
}

async function die(count: number, name = 'cook'): Promise<void> {
  await outbox.enqueue(
    Array.from({ length: count }, () => ({ kind: 'job', name, queue: 'jobs', payload: {} }) as const),
  );
  const claims = await outbox.claimBatch({ limit: count, leaseMs: 60_000, workerId: 'w', kinds: ['job'] });
  await outbox.settle(
    claims.map(
      ({ id, claimToken }) => ({ id, claimToken, to: 'dead', error: 'no tea', ambiguous: false }) as const,
    ),
  );
}

describe('notices', () => {
  it('dead letters: many are one, each is told once, and the id is the message’s', async () => {
    await die(300);
    await die(20, 'wash');
    const before = nudges;
    await watch();
    expect(nudges).toBe(before + 1);
    await watch();
    await tell();
    expect(heard.map(({ notice }) => notice)).toEqual([
      {
        type: 'waybill.dead_letters',
        timestamp: expect.stringMatching(/Z$/),
        data: {
          count: 320,
          groups: [
            {
              kind: 'job',
              name: 'cook',
              queue: 'jobs',
              count: 300,
              lastError: 'no tea',
              ids: expect.any(Array),
            },
            {
              kind: 'job',
              name: 'wash',
              queue: 'jobs',
              count: 20,
              lastError: 'no tea',
              ids: expect.any(Array),
            },
          ],
        },
      },
    ]);
    const sql = 'select id from waybill.outbox_messages where name = $1';
    expect((await database.db.executeSql(sql, [noticeJobName])).rows).toEqual([{ id: heard[0]!.id }]);
    await die(1);
    await watch();
    await tell();
    expect(heard).toHaveLength(2);
  });

  it('of ten that watch at once, one tells', async () => {
    await die(50);
    await Promise.all(Array.from({ length: 10 }, watch));
    await tell();
    expect(heard.map(({ notice }) => notice.data['count'])).toEqual([50]);
  });

  it('are tried again until they are taken; what refuses them for good is not told of itself', async () => {
    await die(1);
    await watch();
    answers = [500];
    await tell();
    const row = `select status, last_error from waybill.outbox_messages where name = $1`;
    expect((await database.db.executeSql(row, [noticeJobName])).rows).toMatchObject([
      { status: 'failed', last_error: expect.stringContaining('answered 500') },
    ]);
    await database.db.executeSql(
      `update waybill.outbox_messages set available_at = now() where status = 'failed'`,
    );
    answers = [410];
    await tell();
    expect((await database.db.executeSql(row, [noticeJobName])).rows).toMatchObject([{ status: 'dead' }]);
    await watch();
    await tell();
    expect(heard).toEqual([]);
  });

  it('a parked queue, once for each parking', async () => {
    const park = `update waybill.queues set parked_at = now(), parked_reason = 'wrong password', probe_at = now() + interval '1 hour' where name = 'email'`;
    await database.db.executeSql(park);
    await watch();
    await watch();
    await database.db.executeSql(park);
    await watch();
    await tell();
    expect(heard.map(({ notice }) => notice)).toMatchObject([
      { type: 'waybill.queue_parked', data: { queues: [{ queue: 'email', reason: 'wrong password' }] } },
      { type: 'waybill.queue_parked' },
    ]);
  });

  it('skipped ticks, by job', async () => {
    const run = `insert into waybill.cron_runs (id, name, action, source, scheduled_at, status, finished_at, reason, skipped_ticks, manifest)
      values ($1, 'nightly', 'a', 'cron', now() - $2 * interval '1 minute', $3, now(), $4, $5, 'm')`;
    await database.db.executeSql(run, [newId(), 1, 'succeeded', null, 4]);
    await database.db.executeSql(run, [newId(), 2, 'skipped', 'overlap', 0]);
    await watch();
    await watch();
    await tell();
    expect(heard.map(({ notice }) => notice)).toMatchObject([
      {
        type: 'waybill.ticks_skipped',
        data: { count: 5, jobs: [{ job: 'nightly', count: 5, reason: 'overlap' }] },
      },
    ]);
  });

  it('books that differ, from verify itself', async () => {
    await outbox.enqueue({ kind: 'job', name: 'cook', queue: 'elsewhere', payload: {} });
    await database.db.executeSql(`delete from waybill.outbox_messages where queue = 'elsewhere'`);
    await tellVerification(outbox, await verifyOutbox(database.db));
    await tell();
    expect(heard.map(({ notice }) => notice)).toMatchObject([
      { type: 'waybill.books_differ', data: { kinds: [{ kind: 'job', difference: -1 }] } },
    ]);
    const env = { DATABASE_URL: database.url, WAYBILL_NOTICE_URL: url, WAYBILL_NOTICE_SECRET: secret };
    expect((await waybill(['outbox', 'verify'], env)).code).toBe(3);
    await tell();
    await until(() => heard.length === 2, { what: 'the notice of the command' });
  });

  it.each([
    ['90', 90],
    ['86400', 3_600],
    [new Date(Date.now() + 900_000).toUTCString(), 900],
  ])('Retry-After: %s holds it for %d s, an hour at most', async (header, seconds) => {
    await die(1);
    await watch();
    answers = [503];
    retryAfter = header;
    await tell();
    const sql = `select date_part('epoch', available_at - now()) as due from waybill.outbox_messages where name = $1`;
    const [row] = (await database.db.executeSql<{ due: number }>(sql, [noticeJobName])).rows;
    expect(row!.due).toBeGreaterThan(seconds - 60);
    expect(row!.due).toBeLessThan(seconds + 60); // with its jitter
    await tell();
    expect(heard).toEqual([]);
  });
});
