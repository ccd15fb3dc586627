import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import type { Log } from '../../src/metrics/log.ts';
import type { ClaimedMessage, NewMessage } from '../../src/message/message.ts';
import type { Failure, Settlement } from '../../src/message/outcome.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { closedQueues } from '../../src/queues/waits.ts';
import { listQueues, pauseQueue, registerQueues, resumeQueue } from '../../src/queues/queues.ts';
import { defaultBackoff } from '../../src/message/backoff.ts';
import { settle } from '../../src/message/transitions.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { claimProbes } from '../../src/outbox/batch.ts';
import { claimWaiting } from '../../src/outbox/claim.ts';
import { createQueueCloser } from '../../src/worker/queue-closer.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
const metrics = createMetrics({ version: 'test' });
type Line = Record<string, unknown> & { readonly level: string };
const lines: Line[] = [];
const told = (level: string) => (facts: object, msg: string) => void lines.push({ level, msg, ...facts });
const log = {
  debug: told('debug'),
  info: told('info'),
  warn: told('warn'),
  error: told('error'),
  child: () => log as unknown,
};
const alerts = () => lines.filter(({ level }) => level === 'warn' || level === 'error');
const events = createEvents(log as unknown as Log, metrics);

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  expect((await verifyOutbox(database.db)).findings).toEqual([]);
  await database.end();
});

let name = '';
let serial = 0;
beforeEach(async () => {
  lines.length = 0;
  name = `queue${serial++}`;
  await registerQueues(database.db, [name], new Map([[name, { rampMs: 0 }]])); // test/postgres/limits.test.ts has the ramp
});

const enqueue = async (n: number, over: Partial<NewMessage> = {}): Promise<string[]> => {
  const message = { kind: 'job' as const, name: 'noop', queue: name, payload: {}, ...over };
  const outbox = createPostgresOutbox(database.db);
  return (await outbox.enqueue(Array.from({ length: n }, () => message))).map(({ id }) => id);
};
const lease = { leaseMs: 60_000, workerId: 'w' };
const take = async (limit = 10): Promise<ClaimedMessage[]> =>
  (await claimWaiting(database.db, { ...lease, queue: name, priority: 0, limit })).map(
    ({ message }) => message,
  );
/** What a worker does with a parked queue whose time has come. */
const probe = (): Promise<ClaimedMessage[]> => claimProbes(database.db, [name], lease);
const view = async (of = name) => (await listQueues(database.db)).find((one) => one.name === of)!;

type Row = { status: string; attempts: number; relayed: boolean; due: boolean; last_error: string | null };
const rows = async (): Promise<Row[]> =>
  (
    await database.db.executeSql<Row>(
      `select status, attempts, relayed_at is not null as relayed, available_at <= now() as due, last_error
         from waybill.outbox_messages where queue = $1 order by id`,
      [name],
    )
  ).rows;
const sql = (text: string): Promise<unknown> => database.db.executeSql(text, [name]);

/** The end of an attempt as a worker writes it. */
async function end(message: ClaimedMessage, failure: Failure | null, worker = 'w'): Promise<void> {
  const closer = createQueueCloser({
    db: database.db,
    events,
    workerId: worker,
    outboxOn: createPostgresOutbox,
  });
  const outcome = failure ? { type: 'failure' as const, failure } : { type: 'delivered' as const, then: [] };
  const planned: Settlement = settle(message, outcome, defaultBackoff, () => 0.5);
  const own = (mine: Failure): Settlement =>
    settle(message, { type: 'failure', failure: mine }, defaultBackoff, () => 0.5);
  const settlement = await closer.judge(message, outcome, planned, own);
  await createPostgresOutbox(database.db).settle([settlement]);
}
const operator: Failure = { type: 'operator', message: 'wrong password' };
const perhapsOwn: Failure = { type: 'operator', maybeOwn: true, message: 'relay access denied' };
const never = (): never => {
  throw new Error('it is nobody’s own fault');
};

describe('paused', () => {
  it('nothing of it is claimed and nothing of it changes, other queues go on; after resume all is claimed', async () => {
    await enqueue(40);
    await pauseQueue(database.db, name, { by: 'ann', reason: 'the printer burns' });
    expect(await take(40)).toEqual([]);
    expect(await rows()).toEqual(
      Array.from({ length: 40 }, () => ({
        status: 'pending',
        attempts: 0,
        relayed: false,
        due: true,
        last_error: null,
      })),
    );
    const open = name;
    name = `${open}-other`;
    await enqueue(1);
    expect(await take()).toHaveLength(1);
    name = open;
    await resumeQueue(database.db, name);
    const messages = await take(40);
    expect(messages).toHaveLength(40);
    for (const message of messages) await end(message, null);
  });

  it.each([
    ['until a time', { until: new Date(Date.now() + 3_600_000) }],
    ['for a while', { forMs: 3_600_000 }],
  ])('%s: it opens when the database has that time, and shows it before', async (_, pauseEnd) => {
    await enqueue(2);
    const paused = await pauseQueue(database.db, name, { by: 'ann', reason: 'maintenance', ...pauseEnd });
    expect(paused).toMatchObject({ state: 'paused', reason: 'maintenance', ready: 0 });
    const inMs = new Date(String(paused.until)).getTime() - Date.now();
    expect(Math.abs(inMs - 3_600_000)).toBeLessThan(60_000);
    expect(await take()).toEqual([]);
    await sql(`update waybill.queues set paused_until = now() where name = $1`);
    expect(await view()).toMatchObject({ state: 'open', until: null, reason: null, ready: 2 });
    expect((await closedQueues(database.db)).filter(({ queue }) => queue === name)).toEqual([]);
    for (const message of await take()) await end(message, null);
    // A new pause begins anew, and one without an end has none.
    const again = await pauseQueue(database.db, name, { by: 'bob', reason: null });
    expect(again).toMatchObject({ state: 'paused', by: 'bob', until: null });
    expect(new Date(String(again.since)) >= new Date(String(paused.since))).toBe(true);
    await resumeQueue(database.db, name);
  });

  it('until a time that has passed is refused, and the queue stays as it was', async () => {
    const past = pauseQueue(database.db, name, {
      by: 'ann',
      reason: null,
      until: new Date(Date.now() - 1_000),
    });
    await expect(past).rejects.toMatchObject({ code: 'invalid_pause' });
    expect(await view()).toMatchObject({ state: 'open' });
  });

  it('with an end is still parked when the pause ends, and is probed then', async () => {
    await enqueue(2);
    for (const message of await take(1)) await end(message, operator);
    await pauseQueue(database.db, name, { by: 'ann', reason: null, forMs: 60_000 });
    await sql(`update waybill.queues set probe_at = now() where name = $1`);
    expect(await view()).toMatchObject({ state: 'paused', also: ['parked'] });
    expect(await probe()).toEqual([]);
    await sql(`update waybill.queues set paused_until = now() where name = $1`);
    expect(await view()).toMatchObject({ state: 'parked' });
    for (const message of await probe()) await end(message, null);
    expect(await view()).toMatchObject({ state: 'open' });
    for (const message of await take()) await end(message, null);
  });

  it('holds from the next claim on, also for what is claimed without a queue', async () => {
    await enqueue(3);
    const outbox = createPostgresOutbox(database.db);
    const claim = () => outbox.claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', queues: [name] });
    const [running] = await claim();
    await pauseQueue(database.db, name, { by: 'ann', reason: null });
    expect(await claim()).toEqual([]);
    await end(running!, null); // what runs finishes
    await resumeQueue(database.db, name);
    expect(await claim()).toHaveLength(1);
  });

  it('is seen with reason, person and time; a second pause renews the reason and keeps the time', async () => {
    await enqueue(2);
    const first = await pauseQueue(database.db, name, { by: 'ann', reason: 'one' });
    expect(first).toMatchObject({ name, state: 'paused', also: [], by: 'ann', reason: 'one', until: null });
    expect(first).toMatchObject({ waiting: 2, ready: 0, inFlight: 0, rate: null, probe: null });
    const second = await pauseQueue(database.db, name, { by: 'bob', reason: 'two' });
    expect(second).toMatchObject({ by: 'bob', reason: 'two', since: first.since });
    expect(await resumeQueue(database.db, name)).toMatchObject({ state: 'open', reason: null, since: null });
    expect(await resumeQueue(database.db, name)).toMatchObject({ state: 'open' });
  });

  it('an unknown queue is refused with the nearest; a queue is known by what waits in it', async () => {
    const about = { by: 'ann', reason: null };
    await expect(pauseQueue(database.db, 'emial', about)).rejects.toMatchObject({
      code: 'unknown_queue',
      message: 'there is no queue "emial": did you mean email?',
    });
    await expect(resumeQueue(database.db, 'emial')).rejects.toMatchObject({ code: 'unknown_queue' });
    name = `${name}-new`;
    await enqueue(1);
    expect((await pauseQueue(database.db, name, about)).state).toBe('paused');
  });
});

describe('parked', () => {
  it('of many that fail at once one parks: one alert, attempts do not count, nothing is dead', async () => {
    const before = (await metrics.parkings.get()).values.length;
    await enqueue(20, { maxAttempts: 1 });
    const messages = await take(20);
    await Promise.all(messages.map((message, i) => end(message, operator, `w${i}`)));
    expect(alerts()).toMatchObject([
      {
        level: 'error',
        msg: expect.stringContaining('parked') as string,
        queue: name,
        reason: 'wrong password',
      },
    ]);
    expect((await metrics.parkings.get()).values.length).toBe(before + 1);
    expect(await rows()).toEqual(
      Array.from({ length: 20 }, () => ({
        status: 'pending',
        attempts: 0,
        relayed: false,
        due: true,
        last_error: 'wrong password',
      })),
    );
    expect(await view()).toMatchObject({ state: 'parked', reason: 'wrong password', waiting: 20 });
  });

  it('one message probes at a time, however many workers there are; the others wait', async () => {
    await parked(5);
    expect((await Promise.all(Array.from({ length: 6 }, probe))).flat()).toEqual([]); // not yet time
    await sql(`update waybill.queues set probe_at = now() where name = $1`);
    const probes = (await Promise.all(Array.from({ length: 6 }, probe))).flat();
    expect(probes.map((message) => message.probe)).toEqual([true]);
    expect((await rows()).filter((row) => row.relayed)).toHaveLength(1);
    expect((await Promise.all(Array.from({ length: 6 }, probe))).flat()).toEqual([]);
    expect(await take()).toEqual([]);
    expect((await view()).probe).toMatchObject({ failed: 0, messageId: probes[0]!.id });
    await end(probes[0]!, null);
  });

  it('a probe that fails like the first is given back without a trace, and the next one comes later', async () => {
    await parked(3);
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      const message = await probing();
      await end(message, { ...operator, message: `still wrong ${i}` });
      const { rows: found } = await database.db.executeSql<{ wait: number }>(
        `select round(extract(epoch from probe_at - now()))::int as wait from waybill.queues where name = $1`,
        [name],
      );
      waits.push(found[0]!.wait);
    }
    expect(waits).toEqual([10, 20, 40, 60, 60, 60]);
    expect(await view()).toMatchObject({ state: 'parked', reason: 'still wrong 5', probe: { failed: 6 } });
    expect(new Set((await rows()).map((row) => `${row.status} ${row.attempts}`))).toEqual(
      new Set(['pending 0']),
    );
    const { rows: kept } = await database.db.executeSql<{ n: number }>(
      `select count(*)::int as n from waybill.outbox_attempts a join waybill.outbox_messages m on m.id = a.message_id where queue = $1`,
      [name],
    );
    expect(kept[0]!.n).toBe(3); // those that were under way when it was parked
  });

  it.each<[string, Failure | null, string]>([
    ['delivered', null, 'delivered'],
    ['a transient failure', { type: 'transient', message: 'busy' }, 'failed'],
    ['a permanent failure', { type: 'permanent', message: 'no such user' }, 'dead'],
  ])('a probe that the provider answered opens the queue: %s', async (_, failure, status) => {
    await parked(3);
    await end(await probing(), failure);
    expect(await view()).toMatchObject({ state: 'open', probe: null });
    expect((await rows()).filter((row) => row.status === status)).toHaveLength(1);
    expect(await take()).toHaveLength(2);
  });

  it('probes differ from one another as long as another message waits', async () => {
    await parked(1);
    await enqueue(3);
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) {
      const message = await probing();
      ids.push(message.id);
      await end(message, operator);
    }
    const all = await database.db.executeSql<{ id: string }>(
      'select id from waybill.outbox_messages where queue = $1 order by id',
      [name],
    );
    const [first, ...later] = all.rows.map(({ id }) => id);
    expect(ids.slice(0, 3).toSorted()).toEqual(later.toSorted()); // the one that parked it is no probe yet
    expect([first, ...later]).toContain(ids[3]); // all of them met it: any may go again
    await end(await probing(), null);
    expect((await view()).state).toBe('open');
  });

  it('a message that fails alone while others pass closes the queue once, and then uses up its own attempts', async () => {
    await enqueue(1);
    const [bad] = await take();
    await end(bad!, perhapsOwn);
    expect(await view()).toMatchObject({ state: 'parked', reason: 'relay access denied' });
    await enqueue(2);
    const passed = await probing();
    expect(passed.id).not.toBe(bad!.id);
    await end(passed, null);
    const messages = await take();
    const [again] = messages.filter(({ id }) => id === bad!.id);
    await end(again!, perhapsOwn);
    expect((await view()).state).toBe('open');
    const { rows: found } = await database.db.executeSql<{
      status: string;
      attempts: number;
      last_error: string;
    }>('select status, attempts, last_error from waybill.outbox_messages where id = $1', [bad!.id]);
    expect(found).toEqual([{ status: 'failed', attempts: 1, last_error: 'relay access denied' }]);
    for (const other of messages.filter(({ id }) => id !== bad!.id)) await end(other, null);
  });

  it('thirty such messages at once: the next probe is another one, and comes within a second', async () => {
    await enqueue(30);
    for (const message of await take(40)) await end(message, perhapsOwn);
    const [good] = await enqueue(1);
    expect(((await view()).probe!.nextAt as Date).getTime() - Date.now()).toBeLessThan(2_000);
    const message = await probing();
    expect(message.id).toBe(good);
    await end(message, null);
    expect((await view()).state).toBe('open');
  });

  it('one that passes as the probe is doubted no more, and resume forgets them all', async () => {
    await enqueue(1);
    await end((await take())[0]!, perhapsOwn);
    await end(await probing(), { type: 'transient', message: 'busy' });
    await sql(`update waybill.outbox_messages set available_at = now() where queue = $1`);
    await end((await take())[0]!, perhapsOwn);
    expect((await view()).state).toBe('parked');
    await resumeQueue(database.db, name);
    await end((await take())[0]!, perhapsOwn);
    expect((await view()).state).toBe('parked');
  });

  it('the right to probe ends with the lease of a worker that died', async () => {
    await parked(3);
    const lost = await probing();
    await sql(`update waybill.queues set probe_at = now() where name = $1`);
    expect(await probe()).toEqual([]); // its worker still has it
    await database.db.executeSql(`update waybill.outbox_messages set claimed_until = now() where id = $1`, [
      lost.id,
    ]);
    const messages = await probe();
    expect(messages.map((message) => [message.probe, message.id === lost.id])).toEqual([[true, false]]);
    expect(
      await createPostgresOutbox(database.db).settle([released(lost), released(messages[0]!)]),
    ).toHaveLength(2);
  });

  it('a probe that a shutdown gave back lets the next one begin at once', async () => {
    await parked(2);
    const message = await probing();
    const closer = createQueueCloser({
      db: database.db,
      events,
      workerId: 'w',
      outboxOn: createPostgresOutbox,
    });
    await closer.judge(message, { type: 'released', reason: null, delay: 0 }, released(message), never);
    await createPostgresOutbox(database.db).settle([released(message)]);
    const messages = await probe();
    expect(messages.map((one) => one.probe)).toEqual([true]);
    await end(messages[0]!, null);
  });

  it('what failed before the queue was reopened parks it no more; a relapse goes on with the longer interval', async () => {
    await enqueue(3);
    const [first, late, ...more] = await take();
    await end(first!, operator);
    await end(await probing(), operator); // 10 s
    await end(await probing(), null);
    await end(late!, operator);
    expect((await view()).state).toBe('open');
    for (const message of more) await end(message, null);
    for (const message of await take()) await end(message, operator);
    expect((await view()).state).toBe('parked');
    const { rows: found } = await database.db.executeSql<{ probe_ms: number }>(
      'select probe_ms from waybill.queues where name = $1',
      [name],
    );
    expect(found[0]!.probe_ms).toBe(20_000);
    expect(await resumeQueue(database.db, name)).toMatchObject({ state: 'open', probe: null });
  });

  it('paused as well, it is not probed', async () => {
    await parked(1);
    await sql(`update waybill.queues set probe_at = now() where name = $1`);
    await pauseQueue(database.db, name, { by: 'ann', reason: null });
    expect(await view()).toMatchObject({ state: 'paused', also: ['parked'] });
    expect(await probe()).toEqual([]);
  });
});

describe('held', () => {
  const held = (retryAfter: number): Failure => ({
    type: 'transient',
    message: 'too many requests',
    retryAfter,
    holdsQueue: true,
  });

  it('the whole queue waits for the time that the provider named; attempts are released', async () => {
    await enqueue(5, { maxAttempts: 1 });
    const messages = await take(3);
    const later = new Date(Date.now() + 3_500_000);
    await end(messages[0]!, held(3_600_000));
    await end(messages[1]!, held(1_000)); // made longer, never shorter
    await end(messages[2]!, null);
    const seen = await view();
    expect(seen).toMatchObject({ state: 'held', reason: 'too many requests', waiting: 4, ready: 0 });
    expect((seen.until as Date).getTime()).toBeGreaterThan(later.getTime());
    expect(alerts()).toHaveLength(1);
    expect(await take()).toEqual([]);
    expect((await rows()).filter((row) => row.status === 'pending' && row.attempts === 0)).toHaveLength(4);
    expect(await probe()).toEqual([]);
    await sql(`update waybill.queues set held_until = now() where name = $1`);
    expect(await view()).toMatchObject({ state: 'open', until: null });
    expect(await take()).toHaveLength(4);
  });

  it('a probe that is asked to wait was answered: not parked any more, but held', async () => {
    await parked(2);
    await end(await probing(), held(60_000));
    expect(await view()).toMatchObject({ state: 'held', also: [] });
    await resumeQueue(database.db, name);
    expect((await view()).state).toBe('open');
  });
});

it('the database that cannot be told leaves the message with its own delay, and says so', async () => {
  await enqueue(1);
  const [message] = await take();
  const gone = (): Promise<never> => Promise.reject(new Error('away'));
  const away = { executeSql: gone, transaction: gone };
  const closer = createQueueCloser({ db: away, events, workerId: 'w', outboxOn: createPostgresOutbox });
  const outcome = { type: 'failure' as const, failure: operator };
  const planned = settle(message!, outcome, defaultBackoff, () => 0);
  expect(await closer.judge(message!, outcome, planned, never)).toEqual(planned);
  expect(planned).toMatchObject({ to: 'released', delay: 30_000 });
  expect(alerts()).toMatchObject([{ level: 'error', queue: name }]);
  await end(message!, null);
});

const released = ({ id, claimToken }: ClaimedMessage): Settlement => ({
  id,
  claimToken,
  to: 'released',
  error: null,
  delay: 0,
});

/** A parked queue in which `n` messages wait. */
async function parked(n: number): Promise<void> {
  await enqueue(n);
  const messages = await take(n);
  for (const message of messages) await end(message, operator);
  expect((await view()).state).toBe('parked');
}

/** The next probe, claimed. */
async function probing(): Promise<ClaimedMessage> {
  await sql(`update waybill.queues set probe_at = now() where name = $1`);
  const messages = await probe();
  expect(messages.map((message) => message.probe)).toEqual([true]);
  return messages[0]!;
}
