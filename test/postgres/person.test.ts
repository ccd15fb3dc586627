// Finding and erasing a person: every place that may have an address, what becomes of it there, and what is left for later. Real: Postgres and the web
// server. Doubled: the workers, whose claims the tests make, and the email provider.

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { erasePerson, findPerson } from '../../src/acts/person.ts';
import {
  createPostgresOutbox,
  defineApp,
  defineOutboxRegistry,
  drainOutbox,
  enqueueEmail,
} from '../../src/index.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { createSuppressed, listSuppressions, suppress, unsuppress } from '../../src/email/suppression.ts';
import { listActs, type Actor } from '../../src/operate/audit.ts';
import { addressedSql, mentionsSql } from '../../src/operate/person-messages.ts';
import { needleOf } from '../../src/operate/person-needle.ts';
import { places } from '../../src/operate/person-places.ts';
import { scanSql } from '../../src/operate/person-scan.ts';
import {
  beginPage,
  leftOf,
  sumOfPlaces,
  type PersonPage,
  type PlaceFound,
} from '../../src/operate/person.ts';
import { listMessages } from '../../src/operate/read.ts';
import { noteReport } from '../../src/outbox/note.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let pool: pg.Pool;
let web: TestWeb;
const keys = { ann: 'key-of-ann', oscar: 'key-of-oscar' };
beforeAll(async () => {
  database = await testDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 3 });
  web = testWeb(defineApp({}), database.url, {
    WAYBILL_ADMIN_KEYS: 'ann:admin:key-of-ann,oscar:operate:key-of-oscar',
  });
});
afterEach(async () => expect((await verifyOutbox(database.db)).findings).toEqual([]));
afterAll(async () => {
  await web.end();
  await pool.end();
  await database.end();
});

const actor: Actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: 'asked for' };
const payloadKeys = `k:${randomBytes(32).toString('base64')}`;
const outbox = () => createPostgresOutbox(database.db, { payloadKeys });
let people = 0;
const person = (): string => `dora${++people}@example.com`;
const mail = { from: 'shop@example.com', subject: 's', text: 't' };
const hash = /^erased-[0-9a-f]{32}$/;

async function record(over: Partial<NewMessage> = {}): Promise<string> {
  return (await outbox().enqueue({ kind: 'job', name: 'n', queue: 'jobs', payload: {}, ...over })).id;
}
async function delivered(over: Partial<NewMessage> = {}): Promise<string> {
  const id = await record(over);
  const [one] = await outbox().claimBatch({ ids: [id], limit: 1, leaseMs: 60_000, workerId: 'w' });
  await outbox().markDelivered(id, one!.claimToken);
  return id;
}
const sql = async <Row = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<Row[]> =>
  (await database.db.executeSql<Row & object>(text, values)).rows as Row[];
const row = async (id: string) =>
  (await sql('select * from waybill.outbox_messages where id = $1', [id]))[0]!;

/** The tables that have the text. */
async function tablesWith(text: string): Promise<string[]> {
  const names = await sql<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'waybill' order by 1`,
  );
  const all = await Promise.all(
    names.map(async ({ name }) => {
      const has = `select from waybill.${name} t where position($1 in lower(t::text || coalesce(convert_from(decode(replace(to_jsonb(t) ->> 'source', '\\x', ''), 'hex'), 'LATIN1'), ''))) > 0`;
      return (
        await sql(
          name === 'inbox_emails'
            ? has
            : `select from waybill.${name} t where position($1 in lower(t::text)) > 0`,
          [text],
        )
      ).length > 0
        ? name
        : '';
    }),
  );
  return all.filter((name) => name !== '');
}

const foundIn = ({ places }: Pick<PersonPage, 'places'>): Record<string, number> =>
  Object.fromEntries(places.map(({ place, found }) => [place, found]));
const placeOf = ({ places }: Pick<PersonPage, 'places'>, name: string): PlaceFound =>
  places.find(({ place }) => place === name)!;

it('an address is found in every place, and erased; what is not about this address stays; a repeat finds nothing', async () => {
  const dora = person();
  const email = await enqueueEmail(outbox(), {
    ...mail,
    to: `Dora <${dora.toUpperCase()}>`,
    deliveryKey: `welcome-${dora}`,
  });
  const sealed = await enqueueEmail(outbox(), { ...mail, to: 'x@example.com', bcc: dora, sensitive: true });
  const job = await delivered({
    payload: { customer: { email: dora } },
    tags: [`customer:${dora}`, 'vip'],
    group: dora,
  });
  const only = await delivered({
    payload: { id: 7 },
    deliveryKey: `sync-${dora}`,
    orderKey: dora,
    requestId: `r-${dora}`,
  });
  const other = await record({ payload: { text: `x.${dora} ${dora}.au mailto:y${dora}` } });
  await sql(
    `insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error, stack) values ($1, 1, now(), 'w', 'retried', $2, $2)`,
    [other, `550 <${dora}> unknown`],
  );
  await sql(
    `insert into waybill.outbox_notes (message_id, type, recipient, detail, reference) values ($1, 'bounced', $2, $3, 'r')`,
    [other, dora, `gone: ${dora}`],
  );
  await sql(
    `insert into waybill.inbox_emails (message_id, sender, recipients, subject, source) values ($1, 'shop@example.com', '{}', 's', convert_to($2, 'UTF8'))`,
    [other, `To: ${dora}\r\n\r\nhi`],
  );
  await sql(
    `insert into waybill.email_batches (message_id, provider, batch, position, size, recipients, answer) values ($1, 'resend', gen_random_uuid(), 0, 1, array[$2], jsonb_build_object('to', $2::text))`,
    [other, dora],
  );
  await sql(
    `insert into waybill.outbox_keys (kind, name, delivery_key, message_id) values ('job', 'n', $1, $2)`,
    [`old-${dora}-1`, other],
  );
  await sql(`insert into waybill.outbox_idempotency (scope, key, answer) values ('order', $1, $2)`, [
    `order ${dora}`,
    JSON.stringify({ to: dora }),
  ]);
  await sql(
    `insert into waybill.cron_runs (id, name, action, source, scheduled_at, status, finished_at, result, manifest) values (gen_random_uuid(), 'c', 'a', 'cron', now(), 'succeeded', now(), jsonb_build_object('to', $1::text), 'm')`,
    [dora],
  );
  await sql(`insert into waybill.cron_manifests (hash, jobs) values ($1, jsonb_build_array($1::text))`, [
    dora,
  ]);
  await sql(
    `insert into waybill.bulk_acts (id, action, filter, state, matched, at_least, by, via) values (gen_random_uuid(), 'retry', jsonb_build_object('to', $1::text), 'done', 0, false, 'x', 'cli')`,
    [dora],
  );
  await sql(`update waybill.queues set paused_reason = $1 where name = 'events'`, [`${dora} complained`]);
  await sql(`insert into waybill.queue_groups (queue, group_key) values ('jobs', $1)`, [dora]);
  await sql(
    `insert into waybill.processes (id, role, host, pid, version, quiet_reason) values ('h:1', 'jobs', 'h', 1, '0', $1)`,
    [`for ${dora}`],
  );
  await sql(`insert into waybill.audit (by, via, act) values ($1, 'cli', 'queue.pause')`, [dora]);
  await suppress(database.db, dora, `550 ${dora} unknown`);

  const everywhere = {
    messages: 2,
    mentions: 2,
    suppressions: 1,
    attempts: 1,
    notes: 1,
    batches: 1,
    inbox: 1,
    keys: 1,
    idempotency: 1,
  };
  const elsewhere = {
    cronRuns: 1,
    cronManifests: 1,
    bulkActs: 1,
    queues: 1,
    groups: 1,
    processes: 1,
    audit: 1,
  };
  const before = await findPerson(database.db, actor, `Dora <${dora}>`);
  expect(before).toMatchObject({ nextCursor: null, person: expect.stringMatching(hash) as string });
  expect(foundIn(before)).toEqual({ ...everywhere, ...elsewhere });
  expect(placeOf(before, 'messages').ids.toSorted()).toEqual([email.id, sealed.id].toSorted());
  expect(placeOf(before, 'messages').byStatus).toEqual({ pending: 2 });
  const dry = await erasePerson(database.db, actor, dora, { dryRun: true });
  expect(dry.places).toEqual(before.places);

  const erased = await erasePerson(database.db, actor, dora);
  expect(foundIn(erased)).toEqual(foundIn(before));
  expect(leftOf(erased.places)).toBe(0);
  expect(erased.person).toBe(before.person);
  expect(await tablesWith(dora)).toEqual(['audit', 'cron_manifests', 'outbox_messages']);
  expect(await row(email.id)).toMatchObject({
    status: 'cancelled',
    payload: { erased: true },
    recipient_hashes: null,
    delivery_key: expect.stringMatching(hash) as string,
  });
  expect(await row(sealed.id)).toMatchObject({
    status: 'cancelled',
    payload: { erased: true },
    recipient_hashes: null,
  });
  expect(await row(job)).toMatchObject({
    status: 'delivered',
    payload: { erased: true },
    tags: [expect.stringMatching(hash), 'vip'],
  });
  expect(await row(only)).toMatchObject({ payload: { id: 7 }, order_key: (await row(job))['group_key'] });
  expect(await row(other)).toMatchObject({
    status: 'pending',
    payload: { text: `x.${dora} ${dora}.au mailto:y${dora}` },
  });
  expect(foundIn(await erasePerson(database.db, actor, dora))).toEqual({ cronManifests: 1, audit: 1 });
  const { acts } = await listActs(database.db, { target: before.person });
  expect(acts.find(({ count }) => count)).toMatchObject({
    act: 'person.erase',
    count: 16,
    detail: { state: 'done' },
  });
  expect(new Set(acts.map(({ act, reason }) => `${act}: ${reason}`))).toEqual(
    new Set(['person.find: asked for', 'person.erase: asked for']),
  );
});

it('a suppression of an erased person goes on to hold mail back, cannot be doubled, and ends by address or by hash', async () => {
  const dora = person();
  await suppress(database.db, dora, 'bounced');
  await erasePerson(database.db, actor, dora);
  expect((await listSuppressions(database.db)).suppressions.map(({ address }) => address)).toContainEqual(
    expect.stringMatching(hash),
  );
  expect(await suppress(database.db, dora, 'again')).toBe(false);
  const sent: string[] = [];
  const provider = {
    name: 'double',
    idempotent: true,
    send: async (_: unknown, { recipients }: { recipients: readonly string[] }) => {
      sent.push(...recipients);
      return { accepted: [], rejected: [], response: '250 ok' };
    },
  };
  const drain = () =>
    drainOutbox({
      outbox: outbox(),
      payloadKeys,
      registry: defineOutboxRegistry({}),
      pool,
      untilEmpty: true,
      email: { provider: provider as never, suppressed: createSuppressed(database.db) },
    });
  await enqueueEmail(outbox(), { ...mail, to: [dora, 'eve@example.com'] });
  await enqueueEmail(outbox(), { ...mail, to: dora });
  await drain();
  expect(sent).toEqual(['eve@example.com']);
  expect(await unsuppress(database.db, dora)).toBe(true);
  await suppress(database.db, dora, 'bounced');
  const { person: its } = await erasePerson(database.db, actor, dora);
  expect(await unsuppress(database.db, its)).toBe(true);
  await enqueueEmail(outbox(), { ...mail, to: dora });
  await drain();
  expect(sent).toEqual(['eve@example.com', dora]);
});

it('a report that comes later does not name the recipient of an erased or a sensitive email', async () => {
  const dora = person();
  const { id } = await enqueueEmail(outbox(), { ...mail, to: dora });
  const sealed = await enqueueEmail(outbox(), { ...mail, to: 'x@example.com', sensitive: true });
  await erasePerson(database.db, actor, dora);
  const report = { type: 'bounced', recipient: dora, detail: `gone: ${dora}`, reference: 'later' };
  for (const messageId of [id, sealed.id])
    expect(await noteReport(database.db, { ...report, messageId, source: messageId })).toBe(true);
  expect(await tablesWith(dora)).toEqual([]);
});

it('K: what is being delivered, and keys of what has not ended, are left and named; a repeat after their end completes it', async () => {
  const dora = person();
  const email = {
    kind: 'email',
    name: 'email',
    queue: 'left',
    payload: { to: [{ address: dora }] },
  } as const;
  const running = await record(email);
  const [claim] = await outbox().claimBatch({ ids: [running], limit: 1, leaseMs: 60_000, workerId: 'w' });
  const job = await record({ queue: 'left', payload: { mail: dora } });
  const [held] = await outbox().claimBatch({ ids: [job], limit: 1, leaseMs: 60_000, workerId: 'w' });
  const keyed = await record({ queue: 'left', orderKey: dora, deliveryKey: dora });
  const first = await erasePerson(database.db, actor, dora);
  expect(leftOf(first.places)).toBe(3);
  expect(placeOf(first, 'messages')).toMatchObject({
    found: 1,
    erased: 0,
    left: [running],
    byStatus: { sending: 1 },
  });
  expect(placeOf(first, 'mentions')).toMatchObject({ found: 2, erased: 0 });
  expect(placeOf(first, 'mentions').left.toSorted()).toEqual([job, keyed].toSorted());
  expect(await row(keyed)).toMatchObject({ status: 'pending', order_key: dora, delivery_key: dora });
  await outbox().markDelivered(running, claim!.claimToken);
  await outbox().markFailed(job, held!.claimToken, 'no', { permanent: true });
  await outbox().cancel(keyed);
  const second = await erasePerson(database.db, actor, dora);
  expect([leftOf(second.places), foundIn(second)]).toEqual([0, { messages: 1, mentions: 2 }]);
  expect(await tablesWith(dora)).toEqual([]);
});

it('the same delivery key may be recorded and erased again; two keys stay two', async () => {
  const dora = person();
  for (const _ of [1, 2]) {
    await delivered({ deliveryKey: `k-${dora}`, payload: { dora } });
    await delivered({ deliveryKey: `k-${dora.toUpperCase()}`, payload: { dora } });
    expect(leftOf((await erasePerson(database.db, actor, dora)).places)).toBe(0);
  }
  expect(await tablesWith(dora)).toEqual([]);
});

it('a walk of small pages finds each row once, and goes on from its cursor after a crash', async () => {
  const dora = person();
  const payload = { to: dora };
  await outbox().enqueue(
    Array.from({ length: 1_200 }, () => ({ kind: 'job', name: 'n', queue: 'many', payload }) as const),
  );
  await enqueueEmail(outbox(), { from: 'shop@example.com', to: dora, subject: 's', text: 't' });
  const whole = await findPerson(database.db, actor, dora);
  const pages: PersonPage[] = [];
  for (let cursor: string | undefined; pages.length === 0 || cursor !== undefined;) {
    const page = await findPerson(database.db, actor, dora, { withinMs: 0, cursor });
    pages.push(page);
    cursor = page.nextCursor ?? undefined;
  }
  expect(pages.length).toBeGreaterThan(18);
  expect(foundIn({ places: sumOfPlaces(pages.flatMap(({ places }) => places)) })).toEqual(foundIn(whole));
  expect(foundIn(whole)).toEqual({ messages: 1, mentions: 1_200 });
  const started = await erasePerson(database.db, actor, dora, { withinMs: 0 });
  expect(foundIn(started)).toEqual({ messages: 1 });
  // The transaction of the next page fails after its changes.
  await sql(
    `create function public.fail() returns trigger language plpgsql as $$ begin raise 'crash'; end $$`,
  );
  await sql(
    `create trigger crash before insert on waybill.audit for each row execute function public.fail()`,
  );
  const cursor = { cursor: started.nextCursor! };
  await expect(erasePerson(database.db, actor, dora, cursor)).rejects.toThrow('crash');
  await sql(`drop trigger crash on waybill.audit`);
  expect((await listMessages(database.db, { queue: ['many'], status: ['cancelled'] })).messages).toEqual([]);
  expect(foundIn(await erasePerson(database.db, actor, dora, cursor))).toMatchObject({ mentions: 1_200 });
  expect((await listMessages(database.db, { queue: ['many'], status: ['pending'] })).messages).toEqual([]);
  expect(await tablesWith(dora)).toEqual([]);
});

it('I: pages are read in the order of their keys, and emails by the index of their hashes', async () => {
  const needle = needleOf('dora@example.com');
  const plan = async (step: number, text: string, values: unknown[]): Promise<string> =>
    database.db.transaction(
      async (tx) => JSON.stringify((await tx.executeSql(`explain ${text}`, values)).rows),
      beginPage(step),
    );
  const after = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  const mentions = mentionsSql(needle, after, 500);
  const keyed = places.map((place) => {
    const last = Object.values(place.key).map((type) =>
      type === 'uuid' ? after : type === 'bigint' ? '7' : 'k',
    );
    return scanSql(place, needle, last, { rows: 500, erases: true });
  });
  for (const { text, values } of [mentions, ...keyed])
    expect(await plan(1, text, values)).not.toMatch(
      /Seq Scan on waybill|Seq Scan on (?:outbox|email|inbox|cron|bulk|queue|proc|audit)/,
    );
  expect(await plan(1, mentions.text, mentions.values)).toContain('outbox_messages_pkey');
  expect(await plan(0, addressedSql, [needle.addresses, 10])).not.toContain('Seq Scan');
});

it('over HTTP it needs the role admin, and says what is wrong', async () => {
  const dora = person();
  await delivered({ payload: { mail: dora } });
  const post = async (path: string, payload: object, key: keyof typeof keys = 'ann') => {
    const headers = { authorization: `Bearer ${keys[key]}` };
    return (await web.server.inject({ method: 'POST', url: `/admin/${path}`, payload, headers })).json<
      Record<string, unknown>
    >();
  };
  for (const path of ['find', 'erase']) {
    expect(await post(path, { recipient: dora }, 'oscar')).toMatchObject({ code: 'forbidden' });
    expect(await post(path, { recipient: 'dora' })).toMatchObject({ status: 400, code: 'invalid_address' });
    expect(await post(path, {})).toMatchObject({ code: 'invalid_arguments' });
    expect(await post(path, { recipient: dora, recipent: 1 })).toMatchObject({ code: 'invalid_arguments' });
    expect(await post(path, { recipient: dora, cursor: 'x' })).toMatchObject({ code: 'invalid_cursor' });
  }
  const mentions = { place: 'mentions', found: 1, byStatus: { delivered: 1 } };
  expect(await post('find', { recipient: dora })).toMatchObject({ places: [mentions], nextCursor: null });
  expect(await post('erase', { recipient: dora, dryRun: true })).toMatchObject({
    places: [{ ...mentions, erased: 0 }],
    left: 0,
  });
  expect(await post('erase', { recipient: dora, reason: `${dora} asked` })).toMatchObject({
    places: [{ ...mentions, erased: 1 }],
    left: 0,
  });
  expect(await tablesWith(dora)).toEqual([]);
});
