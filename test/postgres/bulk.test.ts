// Bulk acts, worked off batch by batch. Real: Postgres. Doubled: the loop of the relay, which the test runs itself.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { move, preview, start, type BulkGiven } from '../../src/acts/bulk.ts';
import { erase, retryAll } from '../../src/acts/messages.ts';
import { listActs, parseAuditFilter, type Actor } from '../../src/operate/audit.ts';
import { listBulk, parseBulkFilter, showBulk, type BulkView } from '../../src/operate/bulk.ts';
import { workBulk, type BulkStep } from '../../src/operate/bulk-work.ts';
import { showMessage } from '../../src/operate/read.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import type { NewMessage, Status } from '../../src/message/message.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.end());
beforeEach(async () => {
  await database.db.executeSql('truncate waybill.outbox_messages, waybill.bulk_acts cascade');
  await database.db.executeSql('truncate waybill.outbox_audit');
});

const actor: Actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: 'a wrong deploy' };
const outbox = () => createPostgresOutbox(database.db);

async function record(count: number, over: Partial<NewMessage> = {}): Promise<string[]> {
  const message = { kind: 'job' as const, name: 'wrong', queue: 'jobs', payload: {} };
  const all = Array.from({ length: count }, () => ({ ...message, ...over }));
  return (await outbox().enqueue(all)).map(({ id }) => id);
}

/** Dead, as after their last attempt. */
async function recordDead(count: number, over: Partial<NewMessage> = {}): Promise<string[]> {
  const ids = await record(count, over);
  const claims = await outbox().claimBatch({ limit: count, leaseMs: 60_000, workerId: 'w', ids });
  for (const { id, claimToken } of claims)
    await outbox().markFailed(id, claimToken, 'no', { permanent: true });
  return ids;
}

const begin = (given: Partial<BulkGiven> & Pick<BulkGiven, 'action'>): Promise<BulkView> =>
  start(database.db, actor, { filter: { name: 'wrong' }, expect: 'any', ...given });

const step = (): Promise<BulkStep> => workBulk(database.db);

/** Works until no act is running. */
async function workOff(): Promise<void> {
  await until(async () => {
    const done = await step();
    return done.id === null && done.inMs === null;
  });
}

const show = (id: string): Promise<BulkView> => showBulk(database.db, id);

async function counts(where = 'true'): Promise<Partial<Record<Status, number>>> {
  const sql = `select status, count(*)::int as n from waybill.outbox_messages where ${where} group by 1`;
  const { rows } = await database.db.executeSql<{ status: Status; n: number }>(sql);
  return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
}

const sql = (text: string, values: unknown[] = []) => database.db.executeSql(text, values);

describe('a bulk act', () => {
  it('cancels what its filter matches, in batches, and nothing else; the audit counters stay right', async () => {
    await record(1_100);
    await record(3, { name: 'right' });
    const { id, state, matched } = await begin({ action: 'cancel' });
    expect({ state, matched }).toEqual({ state: 'running', matched: 1_100 });
    const sizes: number[] = [];
    for (let done = await step(); done.id !== null; done = await step()) sizes.push(done.changed);
    expect(sizes).toEqual([500, 500, 100]);
    expect(await show(id)).toMatchObject({ state: 'done', changed: 1_100, skipped: {}, lastError: null });
    expect(await counts()).toEqual({ cancelled: 1_100, pending: 3 });
    expect(await verifyOutbox(database.db)).toMatchObject({ ok: true });
  });

  it('retries dead messages, and tells the workers', async () => {
    const ids = await recordDead(3);
    const client = await database.db.connect();
    const heard: (string | undefined)[] = [];
    client.on('notification', ({ payload }) => heard.push(payload));
    await client.query('listen waybill_outbox');
    const { id } = await begin({ action: 'retry' });
    await workOff();
    await until(() => heard.includes('jobs'), { what: 'a NOTIFY of the queue' });
    await client.end();
    expect(await show(id)).toMatchObject({ state: 'done', changed: 3 });
    const claims = await outbox().claimBatch({ limit: 9, leaseMs: 1_000, workerId: 'w', ids });
    expect(claims).toHaveLength(3);
  });

  it('is in the timeline of each message that it changed, and of no other', async () => {
    const [changed] = await record(1);
    const [left] = await record(1, { name: 'right' });
    const { id } = await begin({ action: 'cancel' });
    await workOff();
    await retryAll(database.db, actor, { status: ['cancelled'], name: ['wrong'] });
    const notes = async (of: string) =>
      (await showMessage(database.db, of)).notes.map(({ type, detail }) => [type, detail]);
    expect(await notes(changed!)).toEqual([
      ['cancelled', `by the bulk act ${id} of ann (cli): a wrong deploy`],
      ['retried', 'by ann (cli): a wrong deploy'],
    ]);
    expect(await notes(left!)).toEqual([]);
  });

  it('keeps the times that durations before its start meant', async () => {
    await record(1);
    const { id } = await begin({ action: 'cancel', filter: { name: 'wrong', since: '1h' }, rate: '1/h' });
    const { since } = (await show(id)).filter;
    expect(Date.now() - Date.parse(String(since)) - 3_600_000).toBeGreaterThanOrEqual(0);
    expect(Date.now() - Date.parse(String(since)) - 3_600_000).toBeLessThan(60_000);
  });

  it('ends its walk where nothing older can match', async () => {
    await sql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, created_at, revision)
       select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(i), 15, '0'))::uuid, 'job', 'wrong', 'jobs', '{}', 1, at, 0
         from generate_series(1, 20001) i, lateral (select now() - interval '3 days' as at) t`,
    );
    await record(1);
    const { id } = await begin({ action: 'cancel', filter: { name: 'wrong', since: '1h' } });
    const steps: BulkStep[] = [];
    for (let done = await step(); done.id !== null; done = await step()) steps.push(done);
    expect(steps).toHaveLength(1);
    expect(await show(id)).toMatchObject({ state: 'done', changed: 1 });
  });

  it('retries of several with the same delivery key only the newest, and says how many it skipped', async () => {
    for (let i = 0; i < 2; i++) await recordDead(1, { deliveryKey: 'k' });
    await recordDead(1, { deliveryKey: 'taken' });
    await record(1, { deliveryKey: 'taken' });
    const expected = { delivery_key_taken: 2 };
    const given = { action: 'retry', filter: { name: 'wrong' } };
    expect(await preview(database.db, given)).toMatchObject({ matched: 3, skipped: expected });
    const { id } = await begin({ action: 'retry' });
    await workOff();
    expect(await show(id)).toMatchObject({ changed: 1, skipped: expected });
  });

  it('leaves erased messages as they are', async () => {
    const [erased] = await recordDead(2);
    await erase(database.db, actor, erased!);
    expect(await preview(database.db, { action: 'retry', filter: { name: 'wrong' } })).toMatchObject({
      matched: 2,
      skipped: { erased: 1 },
    });
    const { id } = await begin({ action: 'retry' });
    await workOff();
    expect(await show(id)).toMatchObject({ changed: 1, skipped: { erased: 1 } });
  });

  it('holds until a time what is due earlier, and reschedules the rest too; an order key keeps its order', async () => {
    const later = new Date(Date.now() + 7_200_000);
    await record(2);
    await record(1, { availableAt: later });
    const ordered = await record(2, { orderKey: 'o' });
    const { id } = await begin({ action: 'hold', due: '1h' });
    await workOff();
    const held = await show(id);
    expect(held).toMatchObject({ state: 'done', changed: 4, skipped: { due_later: 1 } });
    expect(await outbox().claimBatch({ limit: 9, leaseMs: 1_000, workerId: 'w' })).toEqual([]);
    await begin({ action: 'reschedule', due: 'now' });
    await workOff();
    const claims = await outbox().claimBatch({ limit: 9, leaseMs: 1_000, workerId: 'w' });
    expect(claims).toHaveLength(4); // the second one of the order key waits behind the first
    expect(claims.map((one) => one.id)).toContain(ordered[0]);
    expect(claims.map((one) => one.id)).not.toContain(ordered[1]);
    expect(await verifyOutbox(database.db)).toMatchObject({ ok: true });
  });

  it('cancels a message that an older one of its key holds back', async () => {
    const key = { deliveryKey: 'k', onDuplicate: 'replace' } as const;
    const [older] = await record(1, key);
    await outbox().claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [older!] });
    const [newer] = await record(1, key);
    const { id, matched } = await begin({ action: 'cancel' });
    expect(matched).toBe(1);
    await workOff();
    expect(await counts(`id = '${newer!}'`)).toEqual({ cancelled: 1 });
    expect(await show(id)).toMatchObject({ changed: 1, skipped: { sending: 1 } });
  });

  it('leaves messages alone that were recorded after its start', async () => {
    await record(600);
    const { id } = await begin({ action: 'cancel' });
    await step();
    await record(5);
    await sql(`insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts) -- by a process whose clock is late
      values ('00000000-0000-7000-8000-000000000001', 'job', 'wrong', 'jobs', '{}', 5)`);
    await workOff();
    expect(await show(id)).toMatchObject({ state: 'done', changed: 600 });
    expect(await counts()).toEqual({ cancelled: 600, pending: 6 });
  });

  it('skips what settles meanwhile, and says why', async () => {
    const ids = await record(30);
    const claims = await outbox().claimBatch({
      limit: 9,
      leaseMs: 60_000,
      workerId: 'w',
      ids: ids.slice(0, 9),
    });
    const { id } = await begin({ action: 'cancel' });
    for (const { id: one, claimToken } of claims.slice(0, 5)) await outbox().markDelivered(one, claimToken);
    await outbox().cancel(ids[20]!);
    await workOff();
    expect(await show(id)).toMatchObject({
      state: 'done',
      matched: 21,
      changed: 20,
      skipped: { delivered: 5, sending: 4, cancelled: 1 },
    });
  });

  it('is done, with nothing changed, when everything settles meanwhile', async () => {
    await recordDead(40);
    const { id } = await begin({ action: 'retry' });
    const { id: other } = await begin({ action: 'retry', filter: { status: 'dead', queue: 'jobs' } });
    await workOff();
    const [one, two] = [await show(id), await show(other)];
    expect(one.changed + two.changed).toBe(40);
    expect([one.state, two.state]).toEqual(['done', 'done']);
    expect(two.changed === 0 ? two.skipped : one.skipped).toEqual({ changed_meanwhile: 40 });
  });

  it('of two on overlapping messages, worked off at the same time, each moves each message once', async () => {
    await record(1_500);
    await record(700, { queue: 'other' });
    const { id: all } = await begin({ action: 'cancel' });
    const { id: some } = await begin({ action: 'cancel', filter: { queue: 'other' } });
    const relay = async (): Promise<void> => {
      for (let done = await step(); done.id !== null || done.inMs !== null; done = await step());
    };
    await Promise.all([relay(), relay(), relay()]);
    const [one, two] = [await show(all), await show(some)];
    expect(one.changed + two.changed).toBe(2_200);
    expect([one.state, two.state, one.locked, two.locked]).toEqual(['done', 'done', 0, 0]);
    expect(await counts()).toEqual({ cancelled: 2_200 });
    const ends = await sql('select max(ends)::int as n from waybill.outbox_messages');
    expect(ends.rows).toEqual([{ n: 1 }]);
    expect(await verifyOutbox(database.db)).toMatchObject({ ok: true });
  });

  it('visits messages again that another transaction had locked, and loses none', async () => {
    const ids = await record(20);
    const { id } = await begin({ action: 'cancel' });
    await database.db.transaction(async (tx) => {
      await tx.executeSql('select from waybill.outbox_messages where id = any($1) for update', [
        ids.slice(3, 6),
      ]);
      await step();
      const act = await show(id);
      expect(act).toMatchObject({ state: 'running', changed: 17, locked: 3 });
      expect(act.note).toMatch(/no relay is alive/);
      expect(await step()).toMatchObject({ id: null, inMs: expect.any(Number) as number });
    });
    await workOff();
    expect(await show(id)).toMatchObject({ state: 'done', changed: 20, locked: 0, skipped: {} });
  });

  it('says what became of a message that was locked: claimed, or gone', async () => {
    const ids = await record(3);
    const { id } = await begin({ action: 'cancel' });
    await database.db.transaction(async (tx) => {
      await tx.executeSql('select from waybill.outbox_messages for update');
      await step();
    });
    await outbox().claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [ids[0]!] });
    await sql('delete from waybill.outbox_messages where id = $1', [ids[1]]);
    await workOff();
    expect(await show(id)).toMatchObject({ state: 'done', changed: 1, skipped: { sending: 1, deleted: 1 } });
  });

  it('keeps its rate, whichever relay works', async () => {
    await record(400);
    const began = performance.now();
    const { id } = await begin({ action: 'cancel', rate: '100/s' });
    const seen: { readonly at: number; readonly changed: number }[] = [];
    await until(async () => {
      const done = await step();
      if (done.id !== null) seen.push({ at: performance.now() - began, changed: (await show(id)).changed });
      return (await show(id)).changed >= 200;
    });
    for (const { at, changed } of seen) expect(changed).toBeLessThanOrEqual(100 * (at / 1_000 + 0.6));
    expect(seen.at(-1)!.at).toBeGreaterThan(1_400);
    await move(database.db, actor, id, 'stop');
  });

  it('keeps no whole address in its filter after its end', async () => {
    const filter = { deliveryKey: 'ann@example.test' };
    await record(1, filter);
    const { id } = await begin({ action: 'cancel', filter });
    await record(1, { deliveryKey: 'bob@example.test' });
    const other = await begin({ action: 'cancel', filter: { deliveryKey: 'bob@example.test' } });
    await move(database.db, actor, other.id, 'stop');
    await workOff();
    expect(await show(id)).toMatchObject({ state: 'done', changed: 1 });
    const { rows } = await sql('select filter from waybill.bulk_acts order by id');
    expect(rows).toEqual([
      { filter: { deliveryKey: 'a***@example.test' } },
      { filter: { deliveryKey: 'b***@example.test' } },
    ]);
  });

  it('ends after its limit', async () => {
    await record(700);
    const { id } = await begin({ action: 'cancel', limit: 600 });
    await workOff();
    expect(await show(id)).toMatchObject({ state: 'done', changed: 600, skipped: {} });
    expect(await counts()).toEqual({ cancelled: 600, pending: 100 });
  });
});

describe('a person', () => {
  it('pauses, resumes and stops an act; from the next batch on it holds', async () => {
    await record(1_700);
    const { id } = await begin({ action: 'cancel' });
    await step();
    expect(await move(database.db, actor, id, 'pause')).toMatchObject({ state: 'paused', changed: 500 });
    expect(await step()).toEqual({ id: null, inMs: null });
    await move(database.db, actor, id, 'resume');
    await step();
    expect(await move(database.db, actor, id, 'stop')).toMatchObject({ state: 'stopped', changed: 1_000 });
    await workOff();
    expect(await counts()).toEqual({ cancelled: 1_000, pending: 700 });
    const { acts } = await listActs(database.db, parseAuditFilter({ target: id }));
    expect(acts.map(({ act }) => act)).toEqual(['bulk.stop', 'bulk.resume', 'bulk.pause', 'bulk.start']);
    expect(acts.at(-1)).toMatchObject({
      by: 'ann',
      reason: 'a wrong deploy',
      count: 1_700,
      filter: { name: 'wrong' },
      detail: { action: 'cancel' },
    });
  });

  it('stops during a batch: the stop waits for it, and nothing follows', async () => {
    await record(1_200);
    const { id } = await begin({ action: 'cancel' });
    const [, stopped] = await Promise.all([step(), move(database.db, actor, id, 'stop')]);
    expect(stopped.state).toBe('stopped');
    await workOff();
    const { changed } = await show(id);
    expect([0, 500]).toContain(changed);
    expect((await counts())['cancelled'] ?? 0).toBe(changed);
  });

  it.each([
    ['stop', 'stopped', 'stop'],
    ['stop', 'stopped', 'resume'],
    ['pause', 'paused', 'pause'],
  ] as const)('cannot, after %s (%s), %s', async (first, state, second) => {
    await record(1);
    const { id } = await begin({ action: 'cancel' });
    await move(database.db, actor, id, first);
    await expect(move(database.db, actor, id, second)).rejects.toMatchObject({
      code: 'state_conflict',
      message: expect.stringContaining(`is ${state}`) as string,
    });
    const { acts } = await listActs(database.db, parseAuditFilter({ target: id }));
    expect(acts).toHaveLength(2);
  });

  it('sees acts page by page, the newest first, and by state', async () => {
    await record(1);
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.unshift((await begin({ action: 'cancel' })).id);
    const first = await listBulk(database.db, parseBulkFilter({ limit: '2' }));
    const second = await listBulk(database.db, parseBulkFilter({ limit: '2', cursor: first.nextCursor! }));
    expect([...first.bulkActs, ...second.bulkActs].map(({ id }) => id)).toEqual(ids);
    expect(second.nextCursor).toBeNull();
    expect((await listBulk(database.db, parseBulkFilter({ state: 'done' }))).bulkActs).toEqual([]);
    expect(() => parseBulkFilter({ state: 'runing' })).toThrow(/did you mean running/);
  });
});

describe('the preview', () => {
  it('counts by name, queue and state, shows samples, and warns', async () => {
    await record(12);
    await record(3, { queue: 'other', name: 'other' });
    const [claimed] = await record(1);
    await outbox().claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [claimed!] });
    const seen = await preview(database.db, { action: 'cancel', filter: {}, all: true });
    expect(seen).toMatchObject({
      matched: 15,
      atLeast: false,
      byName: [
        { value: 'wrong', count: 12 },
        { value: 'other', count: 3 },
      ],
      byQueue: [
        { value: 'jobs', count: 12 },
        { value: 'other', count: 3 },
      ],
      byStatus: [{ value: 'pending', count: 15 }],
      skipped: { sending: 1 },
    });
    expect(seen.samples).toHaveLength(10);
    expect(seen.samples[0]).not.toHaveProperty('payload');
    expect(seen.warnings.join('\n')).toMatch(
      /queue jobs is open[^]*queue other is open[^]*1 messages are being sent[^]*no relay is alive/,
    );
    expect(await counts()).toEqual({ pending: 15, sending: 1 });
  });

  it('of a filter that matches nothing says so, and such an act is done at once', async () => {
    expect(await preview(database.db, { action: 'cancel', filter: { name: 'nobody' } })).toMatchObject({
      matched: 0,
      samples: [],
      warnings: [],
    });
    expect(await begin({ action: 'cancel', filter: { name: 'nobody' } })).toMatchObject({
      state: 'done',
      matched: 0,
    });
    expect(await step()).toEqual({ id: null, inMs: null });
  });
});

describe('bad input', () => {
  it.each<[string, Partial<BulkGiven>, string]>([
    ['an empty filter', { filter: {} }, 'filter_required'],
    ['an action that is none', { action: 'cancle' }, 'invalid_action'],
    ['a state that the action cannot take', { filter: { status: 'delivered' } }, 'invalid_status'],
    ['a hold without its end', { action: 'hold' }, 'invalid_due'],
    ['a hold that has ended', { action: 'hold', due: '2020-01-31T08:00:00Z' }, 'invalid_due'],
    ['a due time in words', { action: 'reschedule', due: 'tomorrow' }, 'invalid_time'],
    ['a due time of a cancel', { due: '2h' }, 'invalid_due'],
    ['a rate without a unit', { rate: '50' }, 'invalid_limit_value'],
    ['limit 0', { limit: 0 }, 'invalid_limit'],
  ])('%s', async (_, given, code) => {
    await expect(begin({ action: 'cancel', ...given })).rejects.toMatchObject({ code });
    expect((await listBulk(database.db)).bulkActs).toEqual([]);
  });

  it('above 100 messages the count must be given, and must still be about right', async () => {
    await record(120);
    const given = (expect?: number) => ({ action: 'cancel', filter: { name: 'wrong' }, expect });
    await expect(start(database.db, actor, given())).rejects.toMatchObject({
      code: 'count_required',
      message: expect.stringContaining('expect: 120') as string,
    });
    await expect(start(database.db, actor, given(100))).rejects.toMatchObject({ code: 'count_differs' });
    expect(await start(database.db, actor, given(115))).toMatchObject({ state: 'running', matched: 120 });
  });

  it('an id of another kind, and one that there is not', async () => {
    await expect(show('42')).rejects.toMatchObject({ code: 'invalid_id' });
    await expect(show('0199c0de-0000-7000-8000-000000000000')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('a batch that fails is tried again, keeps its error, and fails the act after ten in a row; a resume goes on', async () => {
    await record(3);
    const { id } = await begin({ action: 'cancel' });
    await sql(
      `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no room'; end $$`,
    );
    await sql(
      `create trigger refuse before update on waybill.outbox_messages for each row execute function refuse()`,
    );
    for (let i = 0; i < 10; i++) {
      await expect(step()).rejects.toThrow('no room');
      await sql(`update waybill.bulk_acts set next_at = null`);
    }
    expect(await step()).toEqual({ id: null, inMs: null });
    const failed = await show(id);
    expect(failed).toMatchObject({ state: 'failed', changed: 0 });
    expect([failed.lastError, failed.note]).toEqual([
      expect.stringContaining('no room'),
      expect.stringContaining('bulk resume'),
    ]);
    await sql('drop trigger refuse on waybill.outbox_messages');
    await move(database.db, actor, id, 'resume');
    await workOff();
    expect(await show(id)).toMatchObject({ state: 'done', changed: 3, lastError: null });
  });
});

describe('erasing', () => {
  it('erases what matches in every state but sending, cancels what waits, and counts what is erased already', async () => {
    const [sending] = await record(1);
    await outbox().claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [sending!] });
    const ids = [...(await record(2)), ...(await recordDead(2))];
    await erase(database.db, actor, ids[0]!);
    const other = await record(1, { name: 'right' });
    const looked = await preview(database.db, { action: 'erase', filter: { name: 'wrong' } });
    expect(looked).toMatchObject({ matched: 4, skipped: { sending: 1, erased: 1 }, atLeast: false });
    const { id } = await begin({ action: 'erase' });
    await workOff();
    expect(await show(id)).toMatchObject({ state: 'done', changed: 3, skipped: { erased: 1 } });
    expect(await counts()).toEqual({ sending: 1, cancelled: 2, dead: 2, pending: 1 });
    const sql = `select id::text as id from waybill.outbox_messages where payload = '{"erased": true}' order by id`;
    const { rows } = await database.db.executeSql<{ id: string }>(sql);
    expect(rows.map((row) => row.id)).toEqual(ids.toSorted());
    const notes = `select distinct detail from waybill.outbox_notes where type = 'erased' and message_id <> $1`;
    const { rows: noted } = await database.db.executeSql<{ detail: string }>(notes, [ids[0]]);
    expect(noted).toEqual([{ detail: expect.stringContaining(`by the bulk act ${id} of ann`) as string }]);
    expect(other).toHaveLength(1);
    expect((await verifyOutbox(database.db)).findings).toEqual([]);
  });
});
