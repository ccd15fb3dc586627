// Sensitive messages: what the database holds, who can open it, and what becomes of it. Real: Postgres, Node's crypto. Doubled: the email provider.

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createMemoryOutbox,
  createOutboxEventRecorder,
  createPostgresOutbox,
  defineEvent,
  defineJob,
  defineListener,
  defineOutboxRegistry,
  drainOutbox,
  enqueueEmail,
  enqueueJob,
  type EmailProvider,
} from '../../src/index.ts';
import { copy } from '../../src/acts/copy.ts';
import { payloadKeysOf } from '../../src/message/seal.ts';
import { listMessages, showMessage } from '../../src/operate/read.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const keyText = (id: string): string => `${id}:${randomBytes(32).toString('base64')}`;
const [old, young] = [keyText('2025'), keyText('2026')];
const secret = 'DE02 1203 0000 0000 2020 51';

let database: TestDatabase;
let pool: pg.Pool;
let seen: unknown[] = [];
beforeAll(async () => {
  database = await testDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 3 });
});
afterAll(async () => {
  await pool.end();
  await database.end();
});
beforeEach(() => void (seen = []));

const payload = z.object({ iban: z.string() });
const handler = async (_: unknown, given: { iban: string }) => void seen.push(given.iban);
const pay = defineJob({ name: 'pay', payload, sensitive: true, handler });
const burn = defineJob({ name: 'burn', payload, sensitive: true, keep: false, handler });
const fail = defineJob({
  name: 'fail',
  payload,
  sensitive: true,
  keep: false,
  handler: () => Promise.reject(new Error('no')),
});
const paid = defineEvent({ name: 'paid', payload, sensitive: true });
const book = defineListener({ name: 'book', event: paid, handler });
const told = defineEvent({ name: 'told', payload });
const remember = defineListener({ name: 'remember', event: told, sensitive: true, keep: false, handler });
const registry = defineOutboxRegistry({
  events: [paid, told],
  listeners: [book, remember],
  jobs: [pay, burn, fail],
});

const outboxWith = (payloadKeys = young) => createPostgresOutbox(pool, { payloadKeys });
const provider: EmailProvider = {
  name: 'double',
  idempotent: true,
  send: async (email) => {
    seen.push(email);
    return { accepted: [], rejected: [], response: '250 ok' };
  },
};
const drain = (payloadKeys = young) =>
  drainOutbox({
    outbox: outboxWith(payloadKeys),
    payloadKeys,
    registry,
    pool,
    untilEmpty: true,
    email: { provider, from: 'shop@example.test' },
  });

async function stored(id: string): Promise<{ status: string; payload: string; error: string | null }> {
  const sql =
    'select status, payload::text as payload, last_error as error from waybill.outbox_messages where id = $1';
  return (await pool.query<{ status: string; payload: string; error: string | null }>(sql, [id])).rows[0]!;
}

/** Everything that a dump of our tables has. */
async function dump(): Promise<string> {
  const tables = `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'waybill'`;
  const all: string[] = [];
  for (const { name } of (await pool.query<{ name: string }>(tables)).rows)
    all.push(JSON.stringify((await pool.query(`select t::text from ${name} t`)).rows));
  return all.join('\n');
}

describe('a sensitive message', () => {
  it('is sealed in the database, opened for the handler, and shown to nobody', async () => {
    const { id } = await enqueueJob(outboxWith(), pay, { iban: secret });
    expect((await stored(id)).payload).toMatch(/^\{"\$sealed": \{/);
    expect(await showMessage(database.db, id)).toMatchObject({ payload: null, sensitive: true });
    expect(await dump()).not.toContain(secret);
    expect(await drain()).toMatchObject({ delivered: 1 });
    expect(seen).toEqual([secret]);
    expect((await stored(id)).payload).toMatch(/\$sealed/);
    expect(await dump()).not.toContain(secret);
  });

  it('is dropped when it is delivered, with keep: false; not before', async () => {
    const { id } = await enqueueJob(outboxWith(), burn, { iban: secret });
    const failed = await enqueueJob(outboxWith(), fail, { iban: secret });
    const kept = await enqueueJob(outboxWith(), pay, { iban: secret });
    await drain();
    expect(await stored(id)).toMatchObject({ status: 'delivered', payload: '{"dropped": true}' });
    expect(await stored(failed.id)).toMatchObject({
      status: 'failed',
      payload: expect.stringContaining('$sealed') as string,
    });
    expect((await stored(kept.id)).payload).toMatch(/\$sealed/);
    expect(await showMessage(database.db, id)).toMatchObject({
      payload: { dropped: true },
      sensitive: false,
    });
    await createPostgresOutbox(pool).cancel(failed.id);
  });

  it('stays sealed in a copy with another payload, also when its own was dropped; a dropped one is not copied as it is', async () => {
    const ids = await Promise.all(
      [pay, burn].map(async (job) => (await enqueueJob(outboxWith(), job, { iban: secret })).id),
    );
    await drain();
    const payloadKeys = payloadKeysOf(young);
    const ports = { db: database.db, maxPayloadBytes: 1_000, payloadKeys };
    const ann = { by: 'ann', key: null, via: 'cli', requestId: null, reason: null } as const;
    const other = 'DE75 5121 0800 1245 1261 99';
    for (const id of ids) {
      const made = await copy(ports, ann, id, { payload: { iban: other } });
      expect((await stored(made.id)).payload).toMatch(/\$sealed/);
    }
    expect(await dump()).not.toContain(other);
    await expect(copy(ports, ann, ids[1]!)).rejects.toMatchObject({ code: 'message_dropped' });
    seen = [];
    await drain();
    expect(seen).toEqual([other, other]);
  });

  it('passes from an event to its listeners; a listener may be sensitive where its event is not', async () => {
    const record = createOutboxEventRecorder(outboxWith());
    const event = await record.record(paid, { iban: secret });
    const other = await record.record(told, { iban: 'plain' });
    expect(await drain()).toMatchObject({ delivered: 4 });
    expect(new Set(seen)).toEqual(new Set([secret, 'plain']));
    const payloadOf = async (parent: string): Promise<string> => {
      const sql = 'select payload::text as payload from waybill.outbox_messages where parent_id = $1';
      return (await pool.query<{ payload: string }>(sql, [parent])).rows[0]!.payload;
    };
    expect(await payloadOf(event.id)).toMatch(/\$sealed/);
    expect(await payloadOf(other.id)).toBe('{"dropped": true}');
    expect(await dump()).not.toContain(secret);
  });

  it('may be an email, also a delayed one', async () => {
    const email = {
      to: 'ann@example.test',
      from: 'shop@example.test',
      subject: 'Your statement',
      text: secret,
    };
    await enqueueEmail(outboxWith(), { ...email, sensitive: true });
    const later = new Date(Date.now() + 86_400_000);
    const { id } = await enqueueEmail(outboxWith(), { ...email, sensitive: true, availableAt: later });
    expect(await dump()).not.toMatch(/ann@example.test|Your statement|DE02/);
    await pool.query('update waybill.outbox_messages set available_at = now() where id = $1', [id]);
    expect(await drain()).toMatchObject({ delivered: 2 });
    expect(seen).toMatchObject([
      { subject: 'Your statement' },
      { subject: 'Your statement', date: later.toISOString() },
    ]);
  });

  it('is an email that is found by its recipients, also after another recording replaced it; its row has no hash that anybody can compute', async () => {
    const found = async (to: string): Promise<string[]> =>
      (await listMessages(database.db, { to: [to] })).messages.map(({ id }) => id);
    const email = { from: 'shop@example.test', subject: 'Your statement', text: secret, sensitive: true };
    const options = { deliveryKey: 'statement', onDuplicate: 'replace' } as const;
    const to = ['Dora <Dora@Example.test>', 'dirk@example.test'];
    const { id } = await enqueueEmail(outboxWith(), { ...email, ...options, to, cc: 'doris@example.test' });
    for (const one of ['dora@example.test', 'DIRK@example.test', 'doris@example.test'])
      expect(await found(one)).toEqual([id]);
    expect((await stored(id)).payload).not.toContain('recipients');
    await enqueueEmail(outboxWith(), { ...email, ...options, to: 'dolf@example.test' });
    expect([await found('dora@example.test'), await found('dolf@example.test')]).toEqual([[], [id]]);
    expect((await stored(id)).payload).not.toContain('recipients');
    expect(await drain()).toMatchObject({ delivered: 1 });
    expect(seen).toMatchObject([{ to: [{ address: 'dolf@example.test' }] }]);
    expect(await found('dolf@example.test')).toEqual([id]);
  });

  it('an email whose receiver defers a recipient goes on as a sensitive one, and its timeline names nobody', async () => {
    const deferring: EmailProvider = {
      ...provider,
      send: async () => ({
        accepted: ['ann@example.test'],
        response: '250 ok',
        rejected: [{ address: 'bob@example.test', error: '451 <bob@example.test> later', temporary: true }],
      }),
    };
    const to = ['ann@example.test', 'bob@example.test'];
    const email = { to, from: 'shop@example.test', subject: 'Your statement', text: secret, sensitive: true };
    await enqueueEmail(outboxWith(), email);
    await drainOutbox({
      outbox: outboxWith(),
      payloadKeys: young,
      registry,
      pool,
      batchSize: 1,
      email: { provider: deferring, from: 'shop@example.test' },
    });
    expect(await dump()).not.toMatch(/bob@example.test|ann@example.test|Your statement|DE02/);
    expect(await drain()).toMatchObject({ delivered: 1 });
    expect(seen).toMatchObject([{ subject: 'Your statement' }]);
  });

  it('may be replaced by a later recording of its key', async () => {
    const options = { deliveryKey: 'latest', onDuplicate: 'replace' } as const;
    const first = await enqueueJob(outboxWith(), pay, { iban: 'first' }, options);
    expect(await enqueueJob(outboxWith(), pay, { iban: 'second' }, options)).toMatchObject({
      id: first.id,
      replaced: true,
    });
    await drain();
    expect(seen).toEqual(['second']);
  });

  it('is the same for one message and for many', async () => {
    const outbox = outboxWith();
    const message = {
      kind: 'job',
      name: 'pay',
      queue: 'jobs',
      payload: { iban: secret },
      sensitive: true,
    } as const;
    await outbox.enqueue([
      message,
      { ...message, deliveryKey: 'k' },
      { ...message, group: 'g', orderKey: 'o' },
    ]);
    expect(await drain()).toMatchObject({ delivered: 3 });
    expect(seen).toEqual([secret, secret, secret]);
  });

  it('is clear in the memory outbox, for tests of applications', async () => {
    const outbox = createMemoryOutbox();
    await enqueueJob(outbox, burn, { iban: secret });
    expect(outbox.messages[0]!.payload).toEqual({ iban: secret });
    await drainOutbox({ outbox, registry });
    expect(seen).toEqual([secret]);
  });
});

describe('keys', () => {
  it('are rotated: the new one seals, the old one still opens', async () => {
    await enqueueJob(outboxWith(old), pay, { iban: 'old' });
    const both = `${young},${old}`;
    const { id } = await enqueueJob(outboxWith(both), pay, { iban: 'new' });
    expect((await stored(id)).payload).toContain('"key": "2026"');
    expect(await drain(both)).toMatchObject({ delivered: 2 });
    expect(new Set(seen)).toEqual(new Set(['new', 'old']));
  });

  it('a missing one leaves the message waiting, with the name of the key; nothing dies', async () => {
    const { id } = await enqueueJob(outboxWith(old), pay, { iban: secret });
    expect(await drain()).toMatchObject({ delivered: 0, dead: 0, released: 1 });
    const { status, error } = await stored(id);
    expect([status, error]).toEqual([
      'pending',
      expect.stringMatching(/payload_key_missing.*"2025".*WAYBILL_PAYLOAD_KEYS/),
    ]);
    await pool.query('update waybill.outbox_messages set available_at = now() where id = $1', [id]);
    expect(await drain(old)).toMatchObject({ delivered: 1 });
  });

  it('a payload from another row is dead at once', async () => {
    const [one, two] = await Promise.all([1, 2].map(() => enqueueJob(outboxWith(), pay, { iban: secret })));
    const swap = `update waybill.outbox_messages set payload = (select payload from waybill.outbox_messages where id = $2) where id = $1`;
    await pool.query(swap, [one!.id, two!.id]);
    expect(await drain()).toMatchObject({ delivered: 1, dead: 1 });
    expect((await stored(one!.id)).error).toMatch(/^payload_unreadable/);
  });

  it('without one, or with a wrong one, nothing sensitive is recorded', async () => {
    const count = async (): Promise<unknown> =>
      (await pool.query('select count(*) from waybill.outbox_messages')).rows[0];
    const before = await count();
    await expect(enqueueJob(createPostgresOutbox(pool), pay, { iban: secret })).rejects.toMatchObject({
      code: 'payload_keys_missing',
    });
    expect(() => createPostgresOutbox(pool, { payloadKeys: 'a:b' })).toThrow(/payloadKeys: entry 1/);
    const forged = { kind: 'job', name: 'pay', queue: 'jobs', payload: { $sealed: {} } } as const;
    await expect(outboxWith().enqueue(forged)).rejects.toMatchObject({ code: 'payload_reserved' });
    for (const wrong of [{ sensitive: 'yes' }, { keep: false }, { sensitive: true, keep: 1 }])
      await expect(outboxWith().enqueue({ ...forged, payload: 1, ...wrong } as never)).rejects.toMatchObject({
        code: 'sealing_invalid',
      });
    expect(await count()).toEqual(before);
  });
});
