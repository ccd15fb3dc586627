import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { defineApp } from '../../src/define/app.ts';
import { retryMany } from '../../src/operate/retry-many.ts';
import { listMessages } from '../../src/operate/read.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { NewMessage } from '../../src/message/message.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';
import { adminKey, apiKey, testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let web: TestWeb;
let outbox: OutboxPort;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(defineApp({}), database.url);
  outbox = createPostgresOutbox(database.db);
});
beforeEach(async () => {
  await database.db.executeSql('truncate waybill.outbox_messages cascade');
  await database.db.executeSql('truncate waybill.outbox_audit, waybill.outbox_keys');
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const unknown = '0199c0de-0000-7000-8000-000000000000';
const key = { authorization: `Bearer ${adminKey}` };
type Message = Record<string, unknown> & { id: string; status: string };

async function ask<T = Record<string, unknown>>(
  method: string,
  url: string,
  body?: unknown,
): Promise<{ status: number; body: T }> {
  const payload =
    body === undefined
      ? {}
      : { payload: JSON.stringify(body), headers: { ...key, 'content-type': 'application/json' } };
  const response = await web.server.inject({
    method: method as 'GET',
    url: `/admin${url}`,
    headers: key,
    ...payload,
  });
  return { status: response.statusCode, body: response.json<T>() };
}
const list = async (query = ''): Promise<{ messages: Message[]; nextCursor: string | null }> => {
  const { status, body } = await ask<{ messages: Message[]; nextCursor: string | null }>(
    'GET',
    `/outbox${query}`,
  );
  expect(status).toBe(200);
  return body;
};
const record = async (more: Partial<NewMessage> = {}): Promise<string> =>
  (await outbox.enqueue({ kind: 'job', name: 'work', queue: 'jobs', payload: { a: 1 }, ...more })).id;
async function end(id: string, how: 'delivered' | 'failed' | 'dead', error = 'broken'): Promise<void> {
  const [claimed] = await outbox.claimBatch({ limit: 1, leaseMs: 5_000, workerId: 'w', ids: [id] });
  if (how === 'delivered') expect(await outbox.markDelivered(id, claimed!.claimToken)).toBe(true);
  else
    expect(await outbox.markFailed(id, claimed!.claimToken, error, { permanent: how === 'dead' })).toBe(true);
}
async function recordEnded(
  how: 'delivered' | 'failed' | 'dead',
  more: Partial<NewMessage> = {},
  error?: string,
): Promise<string> {
  const id = await record(more);
  await end(id, how, error);
  return id;
}

describe('keys', () => {
  it('closed with 503, and the variable is named, when no key is set', async () => {
    const closed = testWeb(defineApp({}), database.url, { WAYBILL_ADMIN_KEY: undefined });
    try {
      for (const url of ['/admin/outbox', '/admin/fleet']) {
        const response = await closed.server.inject({ url, headers: key });
        expect(response.statusCode).toBe(503);
        expect(response.json<{ detail: string }>().detail).toContain('WAYBILL_ADMIN_KEY');
      }
    } finally {
      await closed.end();
    }
  });

  it.each([
    [undefined],
    ['Bearer wrong'],
    [`Bearer ${apiKey}`],
    [adminKey],
    [`Bearer ${adminKey} `.repeat(2)],
  ])('%s: 401', async (authorization) => {
    const response = await web.server.inject({
      url: '/admin/outbox',
      headers: authorization === undefined ? {} : { authorization },
    });
    expect(response.statusCode).toBe(401);
    expect(response.body).not.toContain(adminKey);
  });
});

describe('the log of acts', () => {
  it('says on what and by whom, and never an address', async () => {
    const id = await record();
    const lines = vi.spyOn(web.host.log, 'info');
    const operator = { ...key, 'x-waybill-operator': 'ann\u0007 of the night shift' };
    const act = async (method: 'POST' | 'DELETE', url: string): Promise<unknown> => {
      lines.mockClear();
      await web.server.inject({ method, url, headers: operator });
      const answered = () => lines.mock.calls.find(([, text]) => text === 'answered');
      return (await until(async () => answered() ?? false, { what: `the line of ${url}` }))[0];
    };
    const by = 'ann of the night shift';
    expect(await act('POST', `/admin/outbox/${id}/cancel`)).toMatchObject({ message: id, by, status: 200 });
    expect(await act('POST', '/admin/queues/jobs/pause')).toMatchObject({ name: 'jobs', by });
    const { body } = await ask<{ queues: { name: string; paused: { by: string } | null }[] }>(
      'GET',
      '/queues',
    );
    expect(JSON.stringify(body.queues.find(({ name }) => name === 'jobs'))).toContain(by);
    await act('POST', '/admin/queues/jobs/resume');
    expect(JSON.stringify(await act('DELETE', '/admin/suppressions/ann@customers.example'))).not.toContain(
      'ann@',
    );
    lines.mockRestore();
  });
});

describe('GET /admin/outbox', () => {
  it('finds messages with an attempt of which nobody knows the outcome, whatever became of them', async () => {
    const uncertain = await record();
    await recordEnded('failed');
    const [claimed] = await outbox.claimBatch({ limit: 1, leaseMs: 5_000, workerId: 'w', ids: [uncertain] });
    await outbox.markFailed(uncertain, claimed!.claimToken, 'the connection was lost', { ambiguous: true });
    const found = async (query: string): Promise<string[]> =>
      (await list(query)).messages.map(({ id }) => id);
    expect(await found('?outcome=ambiguous')).toEqual([uncertain]);
    await end(uncertain, 'delivered');
    expect(await found('?outcome=ambiguous&outcome=expired')).toEqual([uncertain]);
    expect(await found('?outcome=expired')).toEqual([]);
    expect(await ask('GET', '/outbox?outcome=ambigous')).toMatchObject({
      status: 400,
      body: { code: 'invalid_outcome', detail: expect.stringContaining('did you mean ambiguous?') as string },
    });
  });

  it('newest first, with all that may be told and never the claim token', async () => {
    const first = await record();
    const second = await record({
      kind: 'email',
      name: 'email',
      queue: 'email',
      deliveryKey: 'k',
      group: 'g',
      requestId: 'r',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    });
    await outbox.claimBatch({ limit: 1, leaseMs: 5_000, workerId: 'w', ids: [second] });
    const { messages, nextCursor } = await list();
    expect(messages.map(({ id }) => id)).toEqual([second, first]);
    expect(nextCursor).toBeNull();
    expect(messages[0]).toMatchObject({
      kind: 'email',
      name: 'email',
      queue: 'email',
      status: 'sending',
      attemptCount: 1,
      maxAttempts: 53,
      lastError: null,
      deliveryKey: 'k',
      group: 'g',
      orderKey: null,
      priority: 0,
      claimedBy: 'w',
      deliveredAt: null,
      deadAt: null,
      requestId: 'r',
      traceId: 'a'.repeat(32),
      parentId: null,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
      claimedUntil: expect.any(String) as string,
    });
    expect(JSON.stringify(messages)).not.toMatch(/token/i);
  });

  it('what waits for a closed queue says so, with since when and why; what is under way or has ended does not', async () => {
    const waiting = await record({ queue: 'closed' });
    const other = await record({ queue: 'open' });
    const done = await recordEnded('dead', { queue: 'closed' });
    const change = (set: string) =>
      database.db.executeSql(
        `insert into waybill.queues (name) values ('closed') on conflict (name) do update set ${set}`,
      );
    const waits = async () => {
      const { messages } = await list('?queue=closed&queue=open');
      return Object.fromEntries(messages.map((one) => [one.id, one.waitsFor]));
    };
    await change(`app_limits = '{}'`);
    expect(await waits()).toEqual({ [waiting]: null, [other]: null, [done]: null });
    const facts = { queue: 'closed', until: null, rate: null, by: 'w1' };
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string;
    await change(`parked_at = now(), parked_by = 'w1', parked_reason = 'no login', probe_at = now()`);
    const parked = { ...facts, state: 'parked', reason: 'no login', since: time };
    expect(await waits()).toEqual({ [waiting]: parked, [other]: null, [done]: null });
    expect((await ask('GET', `/outbox/${waiting}`)).body).toMatchObject({ waitsFor: parked });
    await change(`paused_at = now(), paused_by = 'ann', paused_reason = null`);
    expect((await waits())[waiting]).toMatchObject({ state: 'paused', by: 'ann', reason: null });
    await change(
      `paused_at = null, parked_at = null, held_at = now(), held_until = now() + interval '1 hour', held_reason = 'slower'`,
    );
    expect((await waits())[waiting]).toMatchObject({
      state: 'held',
      reason: 'slower',
      since: time,
      until: time,
    });
    await change(`held_until = null, app_limits = '{"rate":{"limit":10,"ms":1000,"burst":1}}'`);
    expect((await waits())[waiting]).toMatchObject({ state: 'rate', rate: 10, since: null });
    await change(`app_limits = '{}'`);
    await outbox.claimBatch({ limit: 1, leaseMs: 5_000, workerId: 'w', ids: [waiting] });
    await change(`parked_at = now(), probe_at = now()`);
    expect((await waits())[waiting]).toBeNull();
    await database.db.executeSql(`delete from waybill.queues where name = 'closed'`);
  });

  it('filters, which may repeat, and combine', async () => {
    const dead = await recordEnded('dead', { name: 'a' }, 'The Disk is full');
    const failed = await recordEnded('failed', { name: 'b', queue: 'slow' });
    const delivered = await recordEnded('delivered', { name: 'a', deliveryKey: 'k' });
    const pending = await record({ kind: 'event', name: 'e', queue: 'events' });
    const sending = await record({ name: 'c' });
    await outbox.claimBatch({ limit: 1, leaseMs: 5_000, workerId: 'w', ids: [sending] });
    const ids = async (query: string): Promise<string[]> => (await list(query)).messages.map(({ id }) => id);
    expect(await ids('?status=dead')).toEqual([dead]);
    expect(await ids('?status=sending')).toEqual([sending]);
    expect(await ids('?status=dead&status=failed')).toEqual([failed, dead]);
    expect(await ids('?name=a')).toEqual([delivered, dead]);
    expect(await ids('?name=a&status=delivered')).toEqual([delivered]);
    expect(await ids('?kind=event')).toEqual([pending]);
    expect(await ids('?queue=slow&queue=events')).toEqual([pending, failed]);
    expect(await ids('?deliveryKey=k')).toEqual([delivered]);
    expect(await ids('?errorContains=disk')).toEqual([dead]);
    expect(await ids(`?since=${new Date(Date.now() - 60_000).toISOString()}`)).toHaveLength(5);
    expect(await ids(`?since=${new Date(Date.now() + 60_000).toISOString()}`)).toEqual([]);
    expect(await ids(`?until=${new Date(Date.now() - 60_000).toISOString()}`)).toEqual([]);
  });

  it('pages lead through everything exactly once, also when more comes in meanwhile', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) ids.unshift(await record());
    const seen: string[] = [];
    for (let cursor: string | null = null; ;) {
      const page = await list(`?limit=3${cursor ? `&cursor=${cursor}` : ''}`);
      seen.push(...page.messages.map(({ id }) => id));
      await record();
      cursor = page.nextCursor;
      if (cursor === null) break;
    }
    expect(seen).toEqual(ids);
  });

  it.each([
    ['?status=ded', 'invalid_status', /did you mean dead\? There are pending, sending/],
    ['?status=', 'invalid_filter', /status/],
    ['?kind=mail', 'invalid_kind', /email/],
    ['?since=yesterday', 'invalid_time', /ISO 8601/],
    ['?since=2026-01-31T08:00:00', 'invalid_time', /zone/],
    ['?since=2026-02-30T08:00:00Z', 'invalid_time', /since/],
    ['?until=1700000000', 'invalid_time', /until/],
    ['?since=2026-02-02T00:00:00Z&until=2026-02-01T00:00:00Z', 'empty_range', /before until/],
    ['?since=2026-02-02T00:00:00Z&since=2026-02-02T00:00:00Z', 'invalid_filter', /once/],
    ['?limit=0', 'invalid_limit', /1 to 500/],
    ['?limit=501', 'invalid_limit', /1 to 500/],
    ['?limit=ten', 'invalid_limit', /1 to 500/],
    ['?cursor=%25%25%25', 'invalid_cursor', /nextCursor/],
    ['?cursor=YmVmb3JlOng', 'invalid_cursor', /nextCursor/],
    [`?cursor=${unknown}`, 'invalid_cursor', /nextCursor/],
    ['?sttaus=dead', 'unknown_parameter', /did you mean status/],
    ['?name=%00', 'invalid_filter', /name/],
  ])('%s: 400 %s', async (query, code, detail) => {
    const { status, body } = await ask('GET', `/outbox${query}`);
    expect({ status, code: body['code'] }).toEqual({ status: 400, code });
    expect(body['detail']).toMatch(detail);
  });

  it('I: the list walks the primary key, whatever the filter', async () => {
    const texts: [string, unknown[]][] = [];
    const spy = {
      executeSql: async <Row>(text: string, values: readonly unknown[] = []) => (
        texts.push([text, [...values]]),
        { rows: [] as Row[] }
      ),
    };
    await listMessages(spy, { name: ['work'], limit: 50 });
    await database.db.executeSql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts)
       select lpad(to_hex(i), 32, '0')::uuid, 'job', 'work', 'jobs', '{}', 10 from generate_series(1, 20000) i`,
    );
    await database.db.executeSql('analyze waybill.outbox_messages');
    const { rows } = await database.db.executeSql<{ 'QUERY PLAN': string }>(
      `explain ${texts[0]![0]}`,
      texts[0]![1],
    );
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain(
      'Index Scan Backward using outbox_messages_pkey',
    );
  });
});

describe('GET /admin/outbox/:id', () => {
  it('shows payload and attempts; the one that delivered is derived', async () => {
    const id = await recordEnded('failed');
    await end(id, 'delivered');
    const { status, body } = await ask('GET', `/outbox/${id}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id,
      status: 'delivered',
      payload: { a: 1 },
      attemptCount: 2,
      lastError: null, // it was delivered: what went wrong before is in its attempts
    });
    expect(body['attempts']).toEqual([
      {
        attempt: 1,
        startedAt: expect.stringMatching(/Z$/) as string,
        finishedAt: expect.stringMatching(/Z$/) as string,
        worker: 'w',
        outcome: 'retried',
        error: 'broken',
        stack: null,
      },
      {
        attempt: 2,
        startedAt: null,
        finishedAt: body['deliveredAt'],
        worker: null,
        outcome: 'delivered',
        error: null,
        stack: null,
      },
    ]);
  });

  it.each([
    ['GET', '/outbox/42', 400, 'invalid_id'],
    ['GET', '/outbox/%00', 400, 'invalid_id'],
    ['GET', `/outbox/${unknown}`, 404, 'not_found'],
    ['POST', '/outbox/42/retry', 400, 'invalid_id'],
    ['POST', `/outbox/${unknown}/retry`, 404, 'not_found'],
    ['POST', `/outbox/${unknown}/cancel`, 404, 'not_found'],
    ['GET', '/outboxx', 404, 'not_found'],
    ['DELETE', '/outbox', 405, 'method_not_allowed'],
  ])('%s %s: %d %s', async (method, url, status, code) => {
    const answer = await ask(method, url);
    expect({ status: answer.status, code: answer.body['code'] }).toEqual({ status, code });
  });
});

describe('stats and fleet', () => {
  it('counts by status and by queue, and tells the age of the oldest due message', async () => {
    await recordEnded('delivered');
    await recordEnded('delivered');
    await recordEnded('dead');
    await record();
    await record({ queue: 'slow', availableAt: new Date(Date.now() + 60_000) });
    await ask('POST', `/outbox/${await record()}/cancel`);
    const { body } = await ask<{
      byStatus: object;
      byQueue: object;
      oldestDueSeconds: number;
      oldestDueSecondsByQueue: object;
    }>('GET', '/outbox/stats');
    expect(body.byStatus).toEqual({ pending: 2, sending: 0, failed: 0, delivered: 2, dead: 1, cancelled: 1 });
    expect(body.byQueue).toEqual({
      jobs: { pending: 1, sending: 0, failed: 0 },
      slow: { pending: 1, sending: 0, failed: 0 },
    });
    expect(body.oldestDueSeconds).toBeGreaterThan(0);
    expect(Object.keys(body.oldestDueSecondsByQueue)).toEqual(['jobs']);
  });

  it('an empty outbox has figures too', async () => {
    expect((await ask('GET', '/outbox/stats')).body).toMatchObject({
      byStatus: { pending: 0, delivered: 0 },
      byQueue: {},
      oldestDueSeconds: null,
    });
  });

  it('the fleet: who lives, what it does', async () => {
    await database.db.executeSql(
      `insert into waybill.processes (id, role, host, pid, version, queues, slots) values ('h:1:x', 'jobs', 'h', 1, '0', '{jobs}', 25)`,
    );
    const { body } = await ask('GET', '/fleet');
    expect(body).toMatchObject({
      processes: [
        {
          id: 'h:1:x',
          role: 'jobs',
          host: 'h',
          pid: 1,
          version: '0',
          slots: 25,
          busy: 0,
          heartbeatAgeSeconds: expect.any(Number) as number,
        },
      ],
    });
  });
});

describe('retry and cancel', () => {
  it.each(['dead', 'cancelled'] as const)(
    'a %s message waits again from the first attempt on, its history kept',
    async (state) => {
      const id = await record();
      if (state === 'dead') await end(id, 'dead');
      else await ask('POST', `/outbox/${id}/cancel`);
      const before = web.nudges();
      const { status, body } = await ask('POST', `/outbox/${id}/retry`);
      expect({ status, body }).toMatchObject({
        status: 200,
        body: { id, status: 'pending', attemptCount: 0, deadAt: null, cancelledAt: null, relayedAt: null },
      });
      expect(web.nudges()).toBe(before + 1);
      const shown = (await ask<{ attempts: unknown[] }>('GET', `/outbox/${id}`)).body;
      expect(shown.attempts).toHaveLength(state === 'dead' ? 1 : 0);
      await end(id, 'delivered');
      expect(await verifyOutbox(database.db)).toMatchObject({ ok: true });
    },
  );

  it.each(['pending', 'sending', 'failed', 'delivered'] as const)(
    '409 with the state: retry of a %s message',
    async (state) => {
      const id = await record();
      if (state === 'sending')
        await outbox.claimBatch({ limit: 1, leaseMs: 5_000, workerId: 'w', ids: [id] });
      else if (state !== 'pending') await end(id, state);
      const { status, body } = await ask('POST', `/outbox/${id}/retry`);
      expect({ status, code: body['code'] }).toEqual({ status: 409, code: 'state_conflict' });
      expect(body['detail']).toContain(state);
    },
  );

  it.each(['sending', 'delivered', 'dead', 'cancelled'] as const)(
    '409 with the state: cancel of a %s message',
    async (state) => {
      const id = await record();
      if (state === 'sending')
        await outbox.claimBatch({ limit: 1, leaseMs: 5_000, workerId: 'w', ids: [id] });
      else if (state === 'cancelled') await ask('POST', `/outbox/${id}/cancel`);
      else await end(id, state);
      const { status, body } = await ask('POST', `/outbox/${id}/cancel`);
      expect({ status, code: body['code'] }).toEqual({ status: 409, code: 'state_conflict' });
      expect(body['detail']).toContain(state);
    },
  );

  it('409 when a newer message of the same delivery key stands, also one that was pruned', async () => {
    const old = await recordEnded('dead', { deliveryKey: 'k' });
    await record({ deliveryKey: 'k' });
    expect(await ask('POST', `/outbox/${old}/retry`)).toMatchObject({
      status: 409,
      body: { code: 'delivery_key_taken' },
    });
    const other = await recordEnded('dead', { deliveryKey: 'pruned' });
    await database.db.executeSql(
      `insert into waybill.outbox_keys (kind, name, delivery_key, message_id) values ('job', 'work', 'pruned', gen_random_uuid())`,
    );
    expect(await ask('POST', `/outbox/${other}/retry`)).toMatchObject({
      status: 409,
      body: { code: 'delivery_key_taken' },
    });
  });
});

describe('POST /admin/outbox/retry', () => {
  it('a dry run counts and changes nothing', async () => {
    await recordEnded('dead');
    expect(await ask('POST', '/outbox/retry', { status: 'dead', dryRun: true })).toEqual({
      status: 200,
      body: { matched: 1, retried: 0 },
    });
    expect((await list('?status=dead')).messages).toHaveLength(1);
  });

  it('retries what matches and nothing else; cancelled ones only when named', async () => {
    const one = await recordEnded('dead', { name: 'a' }, 'Timeout of the provider');
    await recordEnded('dead', { name: 'a' }, 'no such user');
    await recordEnded('dead', { name: 'b' }, 'timeout');
    await ask('POST', `/outbox/${await record({ name: 'a' })}/cancel`);
    expect(await ask('POST', '/outbox/retry', { name: 'a', errorContains: 'timeout' })).toEqual({
      status: 200,
      body: { matched: 1, retried: 1 },
    });
    expect((await list('?status=pending')).messages.map(({ id }) => id)).toEqual([one]);
    expect(await ask('POST', '/outbox/retry', { status: ['dead', 'cancelled'] })).toEqual({
      status: 200,
      body: { matched: 3, retried: 3 },
    });
  });

  it('works through more than one batch, passing over what somebody holds', async () => {
    await outbox.enqueue(
      Array.from(
        { length: 1_203 },
        () => ({ kind: 'job', name: 'many', queue: 'jobs', payload: {} }) as const,
      ),
    );
    await database.db.executeSql(`update waybill.outbox_messages set status = 'dead', dead_at = now()`);
    const { rows } = await database.db.executeSql<{ id: string }>(
      'select id from waybill.outbox_messages order by id limit 1',
    );
    await database.db.transaction(async (tx) => {
      await tx.executeSql('select from waybill.outbox_messages where id = $1 for update', [rows[0]!.id]);
      const progress: number[] = [];
      expect(
        await retryMany(database.db, { name: ['many'] }, { onProgress: (n) => progress.push(n) }),
      ).toEqual({ matched: 1_203, retried: 1_202 });
      expect(progress).toEqual([500, 1_000, 1_202]);
    });
    expect(await retryMany(database.db, { name: ['many'] })).toEqual({ matched: 1, retried: 1 });
  });

  it('of several with the same delivery key, only the newest; none beside one that stands', async () => {
    await recordEnded('dead', { deliveryKey: 'k' });
    const newest = await recordEnded('dead', { deliveryKey: 'k' });
    await recordEnded('dead', { deliveryKey: 'standing' });
    await record({ deliveryKey: 'standing' });
    expect(await ask('POST', '/outbox/retry', { status: 'dead' })).toEqual({
      status: 200,
      body: { matched: 3, retried: 1 },
    });
    expect((await list('?status=pending&deliveryKey=k')).messages.map(({ id }) => id)).toEqual([newest]);
  });

  it('all: every dead message, said on purpose', async () => {
    await recordEnded('dead', { name: 'a' });
    await recordEnded('dead', { name: 'b' });
    await ask('POST', `/outbox/${await record({ name: 'c' })}/cancel`);
    expect(await ask('POST', '/outbox/retry', { all: true })).toEqual({
      status: 200,
      body: { matched: 2, retried: 2 },
    });
    expect((await list('?status=cancelled')).messages).toHaveLength(1);
  });

  it.each<[unknown, string]>([
    [{}, 'filter_required'],
    [undefined, 'filter_required'],
    [{ dryRun: true }, 'filter_required'],
    [{ all: false }, 'filter_required'],
    [{ status: [] }, 'filter_required'],
    [{ status: 'ded' }, 'invalid_status'],
    [{ status: 'delivered' }, 'invalid_status'],
    [{ name: '' }, 'invalid_filter'],
    [{ since: 'yesterday' }, 'invalid_time'],
    [{ sttaus: 'dead' }, 'invalid_arguments'],
    [{ status: 5 }, 'invalid_arguments'],
    [{ status: 'dead', dryRun: 'yes' }, 'invalid_arguments'],
  ])('%j: 400 %s, and nothing is retried', async (body, code) => {
    await recordEnded('dead');
    expect(await ask('POST', '/outbox/retry', body)).toMatchObject({ status: 400, body: { code } });
    expect((await list('?status=dead')).messages).toHaveLength(1);
  });
});

describe('verify', () => {
  it('adds up over every state and after pruning', async () => {
    await recordEnded('delivered');
    await recordEnded('dead');
    await recordEnded('failed');
    await record({ kind: 'event', name: 'e', queue: 'events' });
    await database.db
      .executeSql(`with gone as (delete from waybill.outbox_messages where status = 'delivered' returning kind)
      insert into waybill.outbox_audit (kind, outcome, n) select kind, 'pruned delivered', count(*) from gone group by kind`);
    expect(await verifyOutbox(database.db)).toEqual({
      ok: true,
      findings: [],
      kinds: [
        {
          kind: 'event',
          recorded: 1,
          pending: 1,
          sending: 0,
          failed: 0,
          delivered: 0,
          dead: 0,
          cancelled: 0,
          pruned: 0,
          difference: 0,
        },
        {
          kind: 'job',
          recorded: 3,
          pending: 0,
          sending: 0,
          failed: 1,
          delivered: 0,
          dead: 1,
          cancelled: 0,
          pruned: 1,
          difference: 0,
        },
      ],
    });
  });

  it('names what is gone and what was never counted', async () => {
    const id = await record();
    await database.db.executeSql('delete from waybill.outbox_messages where id = $1', [id]);
    expect(await verifyOutbox(database.db)).toMatchObject({
      ok: false,
      kinds: [{ kind: 'job', difference: -1 }],
      findings: [{ code: 'messages_missing', count: 1 }],
    });
    await database.db.executeSql(
      `insert into waybill.outbox_audit (kind, outcome, recorded) values ('job', 'delivered', -2)`,
    );
    expect(await verifyOutbox(database.db)).toMatchObject({
      ok: false,
      findings: [{ code: 'messages_uncounted', count: 1 }],
    });
  });

  it.each([
    ['attempts_exhausted', `attempts = max_attempts, status = 'failed'`],
    ['available_far_ahead', `available_at = '9000-01-01'`],
    ['unexplained_transition', `attempts = 3`],
    ['unexplained_transition', `status = 'failed'`],
    [
      'lease_far_ahead',
      `status = 'sending', attempts = 1, claim_token = gen_random_uuid(), claimed_by = 'w', claimed_at = now(), claimed_until = now() + interval '1 year', relayed_at = now()`,
    ],
  ])('%s: a row edited by hand is found', async (code, edit) => {
    const id = await record();
    await database.db.executeSql(`update waybill.outbox_messages set ${edit} where id = $1`, [id]);
    expect(await verifyOutbox(database.db)).toMatchObject({
      ok: false,
      findings: [{ code, count: 1, ids: [id] }],
    });
  });
});

describe('verify, past the triggers', () => {
  it('finds nothing wrong with a message whose lease expired before its delivery began', async () => {
    await record();
    await outbox.claimBatch({ limit: 1, leaseMs: -1, workerId: 'w', begins: 0 });
    expect(await outbox.expire(10)).toMatchObject([{ status: 'failed', attempts: 0 }]);
    expect(await verifyOutbox(database.db)).toMatchObject({ ok: true, findings: [] });
  });

  it('row_unfit: finds a row that breaks the rules', async () => {
    const [id] = [await record(), await record()];
    await database.db.executeSql('alter table waybill.outbox_messages disable trigger user');
    await database.db.executeSql('update waybill.outbox_messages set priority = 5000 where id = $1', [id]);
    await database.db.executeSql('alter table waybill.outbox_messages enable trigger user');
    expect(await verifyOutbox(database.db)).toMatchObject({
      ok: false,
      findings: [{ code: 'row_unfit', count: 1, ids: [id] }],
    });
  });
});

describe('queues', () => {
  type Queue = Record<string, unknown> & { name: string };
  const queues = async (): Promise<Queue[]> => (await ask<{ queues: Queue[] }>('GET', '/queues')).body.queues;

  it('are listed with what holds them back and how much waits in them', async () => {
    await record();
    await record({ queue: 'reports' });
    const all = await queues();
    expect(all.map(({ name }) => name)).toEqual(['email', 'events', 'jobs', 'reports']);
    expect(all.find(({ name }) => name === 'jobs')).toEqual({
      name: 'jobs',
      state: 'open',
      also: [],
      reason: null,
      since: null,
      until: null,
      by: null,
      probe: null,
      providers: [],
      waiting: 1,
      ready: 1,
      inFlight: 0,
      rate: null,
      limits: { effective: {}, application: {}, operator: {}, looser: [], by: null, at: null, reason: null },
    });
  });

  it('are paused with a reason and resumed; the relay is told at once', async () => {
    const paused = await ask('POST', '/queues/jobs/pause', { reason: 'the printer burns', by: 'ann' });
    expect(paused).toMatchObject({
      status: 200,
      body: { name: 'jobs', state: 'paused', reason: 'the printer burns', by: 'ann' },
    });
    expect((await queues()).find(({ name }) => name === 'jobs')).toEqual(paused.body);
    expect(await ask('POST', '/queues/jobs/resume')).toMatchObject({ status: 200, body: { state: 'open' } });
    expect(await ask('POST', '/queues/jobs/pause')).toMatchObject({
      body: { reason: null, by: 'admin' },
    });
    expect(await ask('POST', '/queues/jobs/resume', {})).toMatchObject({ body: { state: 'open' } });
  });

  it('are limited, and the limits reset; groups are listed, paused, resumed and cancelled', async () => {
    const limited = await ask('POST', '/queues/jobs/limit', {
      rate: '50/s',
      burst: 5,
      concurrency: 10,
      reason: 'slow',
    });
    expect(limited).toMatchObject({
      status: 200,
      body: {
        rate: 50,
        limits: {
          effective: { concurrency: 10, rate: { limit: 50, burst: 5 } },
          by: 'admin',
          reason: 'slow',
        },
      },
    });
    expect(await ask('POST', '/queues/jobs/limit', { reset: true })).toMatchObject({
      body: { rate: null, limits: { operator: {} } },
    });
    await record({ group: 'tenant-7' });
    const groups = async () => (await ask('GET', '/queues/jobs/groups')).body as { groups: unknown[] };
    expect(await groups()).toMatchObject({ groups: [{ group: 'tenant-7', waiting: 1, paused: null }] });
    const paused = await ask('POST', '/queues/jobs/pause', {
      group: 'tenant-7',
      for: '2h',
      reason: 'asked us to',
    });
    expect(paused.body).toMatchObject({
      group: 'tenant-7',
      paused: { by: 'admin', reason: 'asked us to' },
    });
    expect(await ask('POST', '/queues/jobs/resume', { group: 'tenant-7' })).toMatchObject({
      body: { paused: null },
    });
    const cancel = (body: object) => ask('POST', '/queues/jobs/cancel', body);
    expect(await cancel({ group: 'tenant-7', dryRun: true })).toMatchObject({
      body: { matched: 1, cancelled: 0 },
    });
    expect(await cancel({ group: 'tenant-7' })).toMatchObject({ body: { matched: 1, cancelled: 1 } });
  });

  it.each<[string, string, unknown, number, string]>([
    ['a limit of an unknown queue', '/queues/jbos/limit', { concurrency: 1 }, 404, 'did you mean jobs?'],
    ['no limit', '/queues/jobs/limit', {}, 400, 'no limit is given'],
    ['a rate of 0', '/queues/jobs/limit', { rate: '0/s' }, 400, 'whole number from 1'],
    ['a rate without a span', '/queues/jobs/limit', { rate: '10/' }, 400, 'must look like 50/s'],
    ['a concurrency of 0', '/queues/jobs/limit', { concurrency: 0 }, 400, 'concurrency is 0'],
    [
      'a reset beside a limit',
      '/queues/jobs/limit',
      { reset: true, concurrency: 1 },
      400,
      'no limit beside it',
    ],
    ['a misspelt limit', '/queues/jobs/limit', { conccurency: 1 }, 400, 'conccurency'],
    ['a group that is none', '/queues/jobs/pause', { group: 'a\u0001' }, 400, '1 to 200 characters'],
    ['a cancel without a group', '/queues/jobs/cancel', {}, 400, 'group'],
    ['an unknown queue', '/queues/jbos/pause', { reason: 'r' }, 404, 'did you mean jobs?'],
    ['an unknown queue to resume', '/queues/nothing-like-it/resume', undefined, 404, 'there are email'],
    [
      'an end without a zone',
      '/queues/jobs/pause',
      { until: '2026-12-01T08:00' },
      400,
      'ISO 8601 with its zone',
    ],
    ['an end that has passed', '/queues/jobs/pause', { until: '2001-01-01T08:00Z' }, 400, 'a time to come'],
    ['two ends', '/queues/jobs/pause', { until: '2030-01-01T08:00Z', for: '2h' }, 400, 'not both'],
    ['a duration of nothing', '/queues/jobs/pause', { for: '0s' }, 400, 'write 30m, 2h or 7d'],
    ['a duration that is none', '/queues/jobs/pause', { for: 'a fortnight' }, 400, 'write 30m, 2h or 7d'],
    ['a duration beyond a year', '/queues/jobs/pause', { for: '9999d' }, 400, 'at most 366d'],
    ['a misspelt field', '/queues/jobs/pause', { raeson: 'r' }, 400, 'reason'],
    ['a reason that is no text', '/queues/jobs/pause', { reason: 5 }, 400, 'reason'],
    ['an empty reason', '/queues/jobs/pause', { reason: '' }, 400, 'reason'],
    ['a reason without an end', '/queues/jobs/pause', { reason: 'r'.repeat(501) }, 400, 'reason'],
    ['U+0000 in the reason', '/queues/jobs/pause', { reason: 'a\0b' }, 400, 'U+0000'],
    ['U+0000 in the name', '/queues/jo%00bs/pause', { reason: 'r' }, 404, 'there is no queue'],
  ])('%s is refused', async (_, url, body, status, word) => {
    const refused = await ask<{ detail: string }>('POST', url, body);
    expect(refused.status).toBe(status);
    expect(refused.body.detail).toContain(word);
    expect((await queues()).every(({ state }) => state === 'open')).toBe(true);
  });
});

describe('/admin/suppressions', () => {
  type Page = {
    suppressions: { address: string; reason: string; since: string }[];
    nextCursor: string | null;
  };

  it('adds, lists page by page and removes', async () => {
    for (const address of ['Ann@B.test', 'bob@b.test', 'carl@c.test'])
      expect(await ask('POST', '/suppressions', { address, reason: 'asked' })).toMatchObject({
        body: { added: true },
      });
    expect(await ask('POST', '/suppressions', { address: 'ann@b.test' })).toMatchObject({
      body: { added: false },
    });
    const first = (await ask<Page>('GET', '/suppressions?limit=2')).body;
    expect(first.suppressions.map(({ address, reason }) => [address, reason])).toEqual([
      ['ann@b.test', 'asked'],
      ['bob@b.test', 'asked'],
    ]);
    const second = (await ask<Page>('GET', `/suppressions?limit=2&cursor=${first.nextCursor}`)).body;
    expect(second).toMatchObject({ suppressions: [{ address: 'carl@c.test' }], nextCursor: null });
    expect((await ask<Page>('GET', '/suppressions?contains=B.TEST')).body.suppressions).toHaveLength(2);
    expect(await ask('DELETE', '/suppressions/ANN%40b.test')).toMatchObject({
      status: 200,
      body: { removed: true },
    });
    expect(await ask('DELETE', '/suppressions/ann%40b.test')).toMatchObject({ status: 404 });
  });

  it.each([
    ['POST', '/suppressions', { address: 'ann' }, 400],
    ['POST', '/suppressions', { address: 'ann@b.test\r\nx' }, 400],
    ['POST', '/suppressions', { adress: 'ann@b.test' }, 400],
    ['GET', '/suppressions?limit=0', undefined, 400],
    ['GET', '/suppressions?limt=5', undefined, 400],
    ['DELETE', '/suppressions/ann', undefined, 400],
  ])('%s %s %j: %i', async (method, url, body, status) => {
    expect((await ask(method, url, body)).status).toBe(status);
  });
});

describe('order keys', () => {
  it('are listed while a dead message blocks them, and unblocked with who did it and why', async () => {
    const dead = await recordEnded('dead', { orderKey: 'account 7' });
    const next = await record({ orderKey: 'account 7' });
    expect(await ask('GET', '/queues/jobs/blocked')).toMatchObject({
      status: 200,
      body: {
        blocked: [{ orderKey: 'account 7', messageId: dead, name: 'work', error: 'broken', waiting: 1 }],
      },
    });
    const body = { orderKey: 'account 7', reason: 'paid by hand', by: 'ann' };
    const unblocked = { queue: 'jobs', orderKey: 'account 7', messageIds: [dead] };
    expect(await ask('POST', '/queues/jobs/unblock', body)).toEqual({ status: 200, body: unblocked });
    expect(await ask('GET', `/outbox/${dead}`)).toMatchObject({
      body: { notes: [{ type: 'unblocked', detail: 'by ann: paid by hand' }] },
    });
    await end(next, 'delivered');
    expect(await ask('POST', '/queues/jobs/unblock', body)).toMatchObject({
      status: 409,
      body: { code: 'order_key_not_blocked' },
    });
    expect(await ask('POST', '/queues/jobs/unblock', {})).toMatchObject({ status: 400 });
    expect(await ask('GET', '/queues/jobs/blocked?limit=0')).toMatchObject({
      status: 400,
      body: { code: 'invalid_limit' },
    });
    expect(await ask('GET', '/queues/jbos/blocked')).toMatchObject({
      status: 404,
      body: { code: 'unknown_queue' },
    });
  });

  it('a dead message that blocks its key can be cancelled', async () => {
    const dead = await recordEnded('dead', { orderKey: 'account 8' });
    expect(await ask('POST', `/outbox/${dead}/cancel`)).toMatchObject({
      status: 200,
      body: { status: 'cancelled', orderKey: 'account 8' },
    });
    const other = await recordEnded('dead');
    expect(await ask('POST', `/outbox/${other}/cancel`)).toMatchObject({ status: 409 });
    expect((await verifyOutbox(database.db)).findings).toEqual([]);
  });
});
