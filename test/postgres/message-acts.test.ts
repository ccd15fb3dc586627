// Acts on one message. Real: Postgres and the web server. Doubled: the workers, whose claims the tests make.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { listActs, parseAuditFilter } from '../../src/operate/audit.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { claimNamed } from '../../src/outbox/claim-named.ts';
import type { Claim } from '../../src/outbox/port.ts';
import { findDue } from '../../src/outbox/waiting.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let web: TestWeb;
const keys = { ann: 'key-of-ann', oscar: 'key-of-oscar', rita: 'key-of-rita' };
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(defineApp({}), database.url, {
    WAYBILL_ADMIN_KEYS: 'ann:admin:key-of-ann,oscar:operate:key-of-oscar,rita:read:key-of-rita',
  });
});
afterAll(async () => {
  const { findings } = await verifyOutbox(database.db);
  await web.end();
  await database.end();
  expect(findings).toEqual([]);
});

const outbox = () => createPostgresOutbox(database.db);
let queues = 0;
const queue = (): string => `q${++queues}`;

async function record(over: Partial<NewMessage> = {}): Promise<string> {
  const message = { kind: 'job' as const, name: 'n', queue: 'jobs', payload: { secret: 'tea' }, ...over };
  return (await outbox().enqueue(message)).id;
}

async function claimed(over: Partial<NewMessage> = {}): Promise<Claim> {
  const own = over.queue ?? queue();
  await record({ ...over, queue: own });
  const [one] = await outbox().claimBatch({ queues: [own], limit: 1, leaseMs: 60_000, workerId: 'w' });
  return one!;
}

async function post(path: string, payload: object = {}, key: keyof typeof keys = 'oscar') {
  const headers = { authorization: `Bearer ${keys[key]}` };
  const response = await web.server.inject({ method: 'POST', url: `/admin/${path}`, payload, headers });
  return { status: response.statusCode, body: response.json<Record<string, unknown>>() };
}

async function show(id: string): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${keys.ann}` };
  return (await web.server.inject({ url: `/admin/outbox/${id}`, headers })).json();
}

describe('ending an attempt', () => {
  it.each([
    ['dead', 'dead', 1],
    ['cancel', 'cancelled', 1],
    ['retry', 'pending', 0],
  ] as const)(
    'C: %s: the claim is gone, its late end is refused, and the message is %s',
    async (then, status, n) => {
      const claim = await claimed();
      const { status: code, body } = await post(`outbox/${claim.id}/end`, { then, reason: 'it hangs' });
      expect([code, body['status'], body['attemptCount'], body['cause']]).toEqual([200, status, n, null]);
      expect(await outbox().markDelivered(claim.id, claim.claimToken)).toBe(false);
      expect(await outbox().extend([claim], 1_000)).toEqual([]);
      const message = await show(claim.id);
      expect(message).toMatchObject({
        status,
        lastError: 'ended by oscar: it hangs',
        attempts: [{ attempt: 1, worker: 'w', outcome: 'ended', error: 'ended by oscar: it hangs' }],
      });
    },
  );

  it('a death by hand counts as a dead letter of its queue, and the list finds ended attempts', async () => {
    const own = queue();
    const claim = await claimed({ queue: own });
    const retried = await claimed({ queue: own });
    const before = { queue: own, kind: 'job', cause: 'ended' };
    await post(`outbox/${claim.id}/end`, { then: 'dead' });
    await post(`outbox/${retried.id}/end`, { then: 'retry' });
    const sql = `select value::int as value from waybill.counters where name = 'waybill_dead_letters_total' and labels = $1::text::jsonb`;
    expect((await database.db.executeSql(sql, [JSON.stringify(before)])).rows).toEqual([{ value: 1 }]);
    const headers = { authorization: `Bearer ${keys.rita}` };
    const url = `/admin/outbox?outcome=ended&queue=${own}&order=oldest`;
    const { messages } = (await web.server.inject({ url, headers })).json<{ messages: { id: string }[] }>();
    expect(messages.map(({ id }) => id)).toEqual([claim.id, retried.id]);
  });

  it('E: retry gives the attempt back, also the last one', async () => {
    const claim = await claimed({ maxAttempts: 1 });
    await post(`outbox/${claim.id}/end`, { then: 'retry' });
    const again = await outbox().claimBatch({ ids: [claim.id], limit: 1, leaseMs: 60_000, workerId: 'w' });
    expect(again.map(({ attempt }) => attempt)).toEqual([1]);
  });

  it('K: the next message of its order key becomes available', async () => {
    const own = queue();
    const claim = await claimed({ queue: own, orderKey: 'account' });
    const next = await record({ queue: own, orderKey: 'account' });
    await post(`outbox/${claim.id}/end`, { then: 'cancel' });
    const after = await outbox().claimBatch({ queues: [own], limit: 5, leaseMs: 60_000, workerId: 'w' });
    expect(after.map(({ id }) => id)).toEqual([next]);
  });

  it('is refused for a message that nobody delivers, by a key that may only read, and without `then`', async () => {
    const id = await record();
    expect((await post(`outbox/${id}/end`, { then: 'dead' })).body).toMatchObject({
      status: 409,
      code: 'state_conflict',
      detail: `the message ${id} is pending: end is not possible in this state`,
    });
    expect((await post(`outbox/${id}/end`, { then: 'dead' }, 'rita')).status).toBe(403);
    expect((await post(`outbox/${id}/end`)).body['code']).toBe('invalid_arguments');
    expect((await post(`outbox/${id}/end`, { than: 'dead' })).status).toBe(400);
    expect((await post('outbox/7/end', { then: 'dead' })).body['code']).toBe('invalid_id');
  });
});

describe('showing', () => {
  it('a payload is read by the role admin alone, and each reading is in the audit; without the payload it is not', async () => {
    const id = await record();
    const get = async (query: string, key: keyof typeof keys) =>
      (
        await web.server.inject({
          url: `/admin/outbox/${id}${query}`,
          headers: { authorization: `Bearer ${keys[key]}` },
        })
      ).json<Record<string, unknown>>();
    expect(await get('?payload=false', 'ann')).toMatchObject({ payload: null, payloadHidden: true });
    expect(await get('', 'oscar')).toMatchObject({ payload: null, payloadHidden: true });
    expect(await get('?payload=no', 'ann')).toMatchObject({ code: 'invalid_arguments' });
    const audit = parseAuditFilter({ target: id });
    expect((await listActs(database.db, audit)).acts).toEqual([]);
    expect(await get('', 'ann')).toMatchObject({ payload: { secret: 'tea' } });
    const { acts } = await listActs(database.db, audit);
    expect(acts).toMatchObject([{ act: 'message.show', by: 'ann', key: 'ann', via: 'http' }]);
    expect((await get('', 'ann'))['acts']).toEqual([]);
  });
});

describe('rescheduling', () => {
  const dueIn = ({ availableAt }: Record<string, unknown>): number =>
    (Date.parse(String(availableAt)) - Date.now()) / 1_000;

  it('moves the due time of a waiting message, to a time or by a duration; a time that has passed is now', async () => {
    const id = await record();
    const at = new Date(Date.now() + 86_400_000).toISOString();
    expect((await post(`outbox/${id}/reschedule`, { availableAt: at })).body['availableAt']).toBe(at);
    expect(dueIn((await post(`outbox/${id}/reschedule`, { in: '2h' })).body)).toBeCloseTo(7_200, -2);
    const past = await post(`outbox/${id}/reschedule`, { availableAt: '2020-01-01T00:00Z', reason: 'now' });
    expect(Math.abs(dueIn(past.body))).toBeLessThan(60);
  });

  it('K: a message behind another of its order key keeps its place, and gets its own due time', async () => {
    const own = queue();
    const [first, second] = [
      await record({ queue: own, orderKey: 'k' }),
      await record({ queue: own, orderKey: 'k' }),
    ];
    expect(dueIn((await post(`outbox/${second}/reschedule`, { in: '1h' })).body)).toBeCloseTo(3_600, -2);
    const take = () => outbox().claimBatch({ queues: [own], limit: 5, leaseMs: 60_000, workerId: 'w' });
    const [one] = await take();
    expect(one?.id).toBe(first);
    await outbox().markDelivered(one!.id, one!.claimToken);
    expect(await take()).toEqual([]);
    await post(`outbox/${second}/reschedule`, { in: '0s' });
    expect((await take()).map(({ id }) => id)).toEqual([second]);
  });

  it('is refused with what is wrong', async () => {
    const { id } = await claimed();
    expect((await post(`outbox/${id}/reschedule`, { in: '1h' })).body['code']).toBe('state_conflict');
    for (const wrong of [
      {},
      { in: '1h', availableAt: '2030-01-01T00:00Z' },
      { in: 'soon' },
      { in: '99999d' },
    ])
      expect((await post(`outbox/${id}/reschedule`, wrong)).body['code']).toBe('invalid_due');
    expect((await post(`outbox/${id}/reschedule`, { availableAt: 'tomorrow' })).body['code']).toBe(
      'invalid_time',
    );
  });
});

describe('copying', () => {
  it('records a message like the original, without its delivery key; the original is its parent', async () => {
    const own = queue();
    const id = await record({
      queue: own,
      deliveryKey: 'once',
      tags: ['vip'],
      priority: 7,
      group: 'g',
      maxAttempts: 3,
    });
    const { status, body } = await post(`outbox/${id}/copy`, { payload: { n: 2 }, reason: 'again' }, 'ann');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      kind: 'job',
      name: 'n',
      queue: own,
      priority: 7,
      group: 'g',
      maxAttempts: 3,
    });
    expect(body).toMatchObject({ status: 'pending', parentId: id, deliveryKey: null });
    expect(await show(String(body['id']))).toMatchObject({ payload: { n: 2 }, tags: ['vip'] });
    expect((await show(id))['acts']).toMatchObject([{ act: 'message.copy', by: 'ann', reason: 'again' }]);
  });

  it('of an email, `to` replaces every recipient, and the email is checked', async () => {
    const email = {
      from: { address: 'shop@example.test' },
      to: [{ address: 'old@example.test' }],
      cc: [{ address: 'cc@example.test' }],
      subject: 'Receipt',
      text: 'thanks',
    };
    const id = await record({ kind: 'email', name: 'email', queue: queue(), payload: email });
    const copy = (body: object) => post(`outbox/${id}/copy`, body, 'ann');
    const { body } = await copy({ to: 'New <new@example.test>' });
    const { payload } = await show(String(body['id']));
    expect(payload).toMatchObject({ to: [{ address: 'new@example.test', name: 'New' }], subject: 'Receipt' });
    expect(JSON.stringify(payload)).not.toMatch(/old@|cc@/);
    expect((await copy({ to: 'nobody' })).status).toBe(400);
    expect((await copy({ payload: { subject: 'no recipient' } })).body['code']).toBe('to_required');
    const { acts } = await show(id);
    expect(JSON.stringify(acts)).not.toContain('new@example.test');
  });

  it('of an email each part can be another; a new html has a text of its own, and a key is free or refused', async () => {
    const email = {
      from: { address: 'shop@example.test' },
      to: [{ address: 'old@example.test' }],
      subject: 'Receipt',
      text: 'thanks',
      html: '<p>thanks</p>',
      attachments: [{ filename: 'a.txt', content: 'a' }],
    };
    const id = await record({ kind: 'email', name: 'email', queue: queue(), payload: email });
    const copied = async (body: object): Promise<unknown> =>
      (await show(String((await post(`outbox/${id}/copy`, body, 'ann')).body['id'])))['payload'];
    expect(await copied({ subject: 'Again' })).toEqual({ ...email, subject: 'Again' });
    expect(await copied({ html: '<p>sorry</p>' })).toMatchObject({ html: '<p>sorry</p>', text: 'sorry' });
    expect(await copied({ html: null, text: 'only' })).not.toHaveProperty('html');
    expect(await copied({ to: 'a@example.test', bcc: 'b@example.test' })).toMatchObject({
      to: [{ address: 'a@example.test' }],
      bcc: [{ address: 'b@example.test' }],
    });
    const keyed = { deliveryKey: 'second' };
    expect((await post(`outbox/${id}/copy`, keyed, 'ann')).status).toBe(200);
    expect((await post(`outbox/${id}/copy`, keyed, 'ann')).body['code']).toBe('delivery_key_taken');
  });

  it('is refused without the role admin, and `to` for what is no email', async () => {
    const id = await record();
    expect((await post(`outbox/${id}/copy`, {})).body['code']).toBe('forbidden');
    expect((await post(`outbox/${id}/copy`, { to: 'a@example.test' }, 'ann')).body['code']).toBe(
      'not_an_email',
    );
  });
});

describe('erasing', () => {
  it('erases payload, errors and notes of a settled message, and the audit counters stay right', async () => {
    const { id, claimToken } = await claimed({ payload: { to: 'someone@example.test' } });
    await outbox().markFailed(id, claimToken, 'no mailbox someone@example.test', { permanent: true });
    await database.db.executeSql(
      `insert into waybill.outbox_notes (message_id, type, recipient, detail, reference) values ($1, 'bounced', 'someone@example.test', 'gone', 'r')`,
      [id],
    );
    const preview = await post(`outbox/${id}/erase`, { dryRun: true }, 'ann');
    const counts = { id, status: 'dead', cancelled: false, attempts: 1, notes: 1, inbox: false };
    expect(preview.body).toEqual({ ...counts, dryRun: true });
    expect((await show(id))['payload']).toEqual({ to: 'someone@example.test' });
    expect((await post(`outbox/${id}/erase`, { reason: 'asked for' }, 'ann')).body).toEqual({
      ...counts,
      dryRun: false,
    });
    const message = await show(id);
    expect(message).toMatchObject({ payload: { erased: true }, status: 'dead', lastError: null });
    expect(JSON.stringify(message)).not.toContain('someone');
    expect(message['acts']).toMatchObject([{ act: 'message.erase', reason: 'asked for' }]);
    expect((await post(`outbox/${id}/retry`)).body['code']).toBe('message_erased');
    expect((await post('outbox/retry', { all: true })).status).toBe(200);
    expect((await show(id))['status']).toBe('dead');
    expect((await post(`outbox/${id}/copy`, {}, 'ann')).body['code']).toBe('message_erased');
    expect((await post(`outbox/${id}/copy`, { payload: {} }, 'ann')).body['code']).toBe('message_erased');
  });

  it('cancels a message that waits, and is refused for one that is being delivered and without the role admin', async () => {
    const id = await record();
    expect((await post(`outbox/${id}/erase`, {})).body['code']).toBe('forbidden');
    expect((await post(`outbox/${id}/erase`, {}, 'ann')).body).toMatchObject({
      status: 'pending',
      cancelled: true,
    });
    expect(await show(id)).toMatchObject({ status: 'cancelled', payload: { erased: true } });
    const running = await claimed();
    expect((await post(`outbox/${running.id}/erase`, {}, 'ann')).body['code']).toBe('state_conflict');
  });
});

describe('all queues', () => {
  it('are paused but for the exceptions, and resumed; the audit has it once', async () => {
    const all = await post('queues/pause', { all: true, except: ['email'], reason: 'migration', for: '1h' });
    const states = new Map(
      (all.body['queues'] as { name: string; state: string }[]).map((q) => [q.name, q.state]),
    );
    expect([states.get('jobs'), states.get('events'), states.has('email')]).toEqual([
      'paused',
      'paused',
      false,
    ]);
    expect((await post('queues/resume', { all: true })).body['queues']).toHaveLength(states.size);
    expect((await post('queues/resume', { all: true })).body['queues']).toEqual([]);
    expect((await post('queues/pause', { all: true, except: ['emial'] })).body['code']).toBe('unknown_queue');
    expect((await post('queues/pause', {})).body['code']).toBe('invalid_arguments');
  });
});

describe('running a message of a paused queue', () => {
  const take = (name: string, known: string | null = null) =>
    claimNamed(database.db, name, { leaseMs: 60_000, workerId: 'w' }, known);
  const idsOf = (its: Awaited<ReturnType<typeof take>>): string[] => its.map(({ message }) => message.id);
  async function paused(count = 1, over: Partial<NewMessage> = {}): Promise<{ name: string; ids: string[] }> {
    const name = queue();
    const ids = [];
    for (let i = 0; i < count; i++) ids.push(await record({ queue: name, ...over }));
    await post(`queues/${name}/pause`);
    return { name, ids };
  }

  it('lets this message through for one attempt, and no other', async () => {
    const { name, ids } = await paused(3);
    const { status, body } = await post(`queues/${name}/run/${ids[1]}`, { reason: 'it is urgent' });
    expect([status, body['id']]).toEqual([200, ids[1]]);
    expect((await findDue(database.db, [name])).places).toMatchObject([{ queue: name, named: true }]);
    const both = await Promise.all([take(name), take(name)]);
    expect(both.flatMap(idsOf)).toEqual([ids[1]]);
    expect(await take(name)).toEqual([]);
    expect((await findDue(database.db, [name])).places).toEqual([]);
    const [one] = both.flat();
    await outbox().markFailed(ids[1]!, one!.message.claimToken, 'no', { delayMs: 0 });
    expect(await take(name)).toEqual([]);
  });

  it('makes it due now, and of an open queue only that', async () => {
    const later = { availableAt: new Date(Date.now() + 3_600_000) };
    const { name, ids } = await paused(1, later);
    await post(`queues/${name}/run/${ids[0]}`);
    expect(idsOf(await take(name))).toEqual(ids);
    const open = queue();
    const id = await record({ queue: open, ...later });
    await post(`queues/${open}/run/${id}`);
    expect(await take(open)).toEqual([]);
    const got = await outbox().claimBatch({ queues: [open], limit: 5, leaseMs: 60_000, workerId: 'w' });
    expect(got.map((one) => one.id)).toEqual([id]);
  });

  it('holds the limits of the queue and of the group, and runs a message of a paused group', async () => {
    const { name, ids } = await paused(2, { group: 'g' });
    await post(`queues/${name}/limit`, { concurrency: 1 });
    for (const id of ids) await post(`queues/${name}/run/${id}`);
    const [first] = await take(name);
    expect(await take(name)).toEqual([]);
    await outbox().markDelivered(first!.message.id, first!.message.claimToken);
    expect(await take(name)).toHaveLength(1);
    const grouped = queue();
    const id = await record({ queue: grouped, group: 'g' });
    await record({ queue: grouped, group: 'g' });
    await post(`queues/${grouped}/pause`, { group: 'g' });
    await post(`queues/${grouped}/run/${id}`);
    expect(idsOf(await take(grouped))).toEqual([id]);
  });

  it('forgets messages that ended otherwise, and keeps the others', async () => {
    const { name, ids } = await paused(2);
    for (const id of ids) await post(`queues/${name}/run/${id}`);
    await post(`outbox/${ids[0]}/cancel`);
    expect(idsOf(await take(name))).toEqual([ids[1]]);
    expect((await findDue(database.db, [name])).places).toEqual([]);
  });

  it('K: is refused for what waits for more than the pause, with what it waits for', async () => {
    const { name, ids } = await paused(2, { orderKey: 'k' });
    const refused = async (id: string) => (await post(`queues/${name}/run/${id}`)).body;
    expect(await refused(ids[1]!)).toMatchObject({ status: 409, code: 'cannot_run_now' });
    expect((await post(`queues/${name}/run/${ids[0]}`)).status).toBe(200);
    await database.db.executeSql(
      `update waybill.queues set held_until = now() + interval '1 hour' where name = $1`,
      [name],
    );
    expect((await refused(ids[0]!))['detail']).toContain('parked or held');
    expect(await take(name)).toEqual([]);
    expect((await post(`queues/other/run/${ids[0]}`)).body).toMatchObject({
      status: 409,
      code: 'other_queue',
      detail: `the message ${ids[0]} is in the queue ${name}, not in "other"`,
    });
    const { id } = await claimed();
    expect((await post(`queues/q${queues}/run/${id}`)).body['code']).toBe('state_conflict');
  });
});
