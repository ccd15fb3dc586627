import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkMessage, type NewMessage } from '../../src/message/message.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

const sql = async <Row = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<Row[]> =>
  (await database.db.executeSql<Row>(text, values)).rows;
const idOf = async (text: string, values: unknown[] = []): Promise<string> =>
  (await sql<{ id: string }>(`select ${text} as id`, values))[0]!.id;
const count = async (): Promise<number> => (await sql('select from waybill.outbox_messages')).length;

describe('waybill.enqueue', () => {
  it('records a message as the library does', async () => {
    const id = await idOf(
      `waybill.enqueue('job', 'grow', '{"n": 1}', priority => 5, delivery_key => 'k', request_id => 'r',
        group_key => 'g', order_key => 'o', tags => '{b,a,b}')`,
    );
    const [row] = await sql('select * from waybill.outbox_messages where id = $1', [id]);
    const outbox = createPostgresOutbox(database.db);
    const twin = await outbox.enqueue({
      kind: 'job',
      name: 'grow',
      queue: 'jobs',
      payload: { n: 1 },
      priority: 5,
      deliveryKey: 'l',
      requestId: 'r',
      group: 'g',
      orderKey: 'o',
      tags: ['b', 'a', 'b'],
    });
    expect(row).toMatchObject({ group_key: 'g', order_key: 'o', tags: ['b', 'a'] });
    const [other] = await sql('select * from waybill.outbox_messages where id = $1', [twin.id]);
    const own = {
      id: 0,
      delivery_key: 0,
      created_at: 0,
      available_at: 0,
      order_position: 0,
      order_due: 0,
      revision: 0,
    };
    expect({ ...row, ...own }).toEqual({ ...other, ...own });
    expect(id < twin.id && id[14] === '7').toBe(true);
    expect(
      await outbox.enqueue({ kind: 'job', name: 'grow', queue: 'jobs', payload: {}, deliveryKey: 'k' }),
    ).toEqual({ id, status: 'pending', duplicate: true });
  });

  it.each([
    `'{a,""}'`,
    `array['a', null]`,
    `array[E'a\\nb']`,
    `array[repeat('t', 201)]`,
    `array(select 't' || n from generate_series(1, 21) n)`,
  ])('refuses the tags %s', async (tags) => {
    await expect(idOf(`waybill.enqueue('job', 'grow', '{}', tags => ${tags})`)).rejects.toMatchObject({
      code: '22023',
      detail: 'tags_invalid',
    });
  });

  it('an email for later has its date in its payload, whoever records it; others do not', async () => {
    const due = `timestamptz '2040-01-31 09:00:00.123+01'`;
    const payloadOf = async (id: string) =>
      (await sql<{ payload: object }>('select payload from waybill.outbox_messages where id = $1', [id]))[0]!
        .payload;
    const later = await idOf(`waybill.enqueue('email', 'email', '{"to": 1}', available_at => ${due})`);
    expect(await payloadOf(later)).toEqual({ to: 1, date: '2040-01-31T08:00:00.123Z' });
    const job = await idOf(`waybill.enqueue('job', 'grow', '{"to": 1}', available_at => ${due})`);
    const now = await idOf(`waybill.enqueue('email', 'email', '{"to": 1}')`);
    expect([await payloadOf(job), await payloadOf(now)]).toEqual([{ to: 1 }, { to: 1 }]);
  });

  it.each([
    ['email', 'email'],
    ['event', 'events'],
    ['listener', 'events'],
    ['job', 'jobs'],
    ['action', 'jobs'],
  ])('a message of kind %s travels through %s', async (kind, queue) => {
    const id = await idOf(`waybill.enqueue($1, 'n', '{}')`, [kind]);
    expect(
      await sql('select queue, status, max_attempts from waybill.outbox_messages where id = $1', [id]),
    ).toEqual([{ queue, status: 'pending', max_attempts: kind === 'email' ? 53 : 10 }]);
  });

  it('A: a trigger records it in the transaction of its row, or not at all', async () => {
    await sql(`create table plants (id int, owner text);
      create function greet() returns trigger language plpgsql as $$
      begin
        perform waybill.enqueue('job', 'greet', jsonb_build_object('plant', new.id), delivery_key => 'greet-' || new.id);
        return new;
      end $$;
      create trigger greets after insert on plants for each row execute function greet()`);
    await sql(`insert into plants values (1, 'ann')`);
    const greeting = `select payload from waybill.outbox_messages where name = 'greet'`;
    expect(await sql(greeting)).toEqual([{ payload: { plant: 1 } }]);
    const failing = database.db.transaction(async (tx) => {
      await tx.executeSql(`insert into plants values (2, 'bob')`);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await sql(greeting)).toHaveLength(1);
  });

  it('a standing key gives the first id, also when two transactions come at once, and one whose row was pruned', async () => {
    const enqueue = `select waybill.enqueue('job', 'once', '{}', delivery_key => 'k') as id`;
    let waited = false;
    let second = Promise.resolve('');
    const first = await database.db.transaction(async (tx) => {
      const { rows } = await tx.executeSql<{ id: string }>(enqueue);
      second = idOf(`waybill.enqueue('job', 'once', '{}', delivery_key => 'k')`);
      const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
      waited = await until(async () => (await sql(waiting)).length > 0);
      return rows[0]!.id;
    });
    expect([waited, await second]).toEqual([true, first]);
    await sql(
      `with gone as (delete from waybill.outbox_messages where id = $1 returning *)
      insert into waybill.outbox_keys (kind, name, delivery_key, message_id) select kind, name, delivery_key, id from gone`,
      [first],
    );
    expect(await idOf(`waybill.enqueue('job', 'once', '{}', delivery_key => 'k')`)).toBe(first);
    expect(await sql(`select from waybill.outbox_messages where name = 'once'`)).toEqual([]);
  });

  it('a dead holder does not swallow the next message', async () => {
    const first = await idOf(`waybill.enqueue('job', 'dies', '{}', delivery_key => 'k')`);
    await sql(`update waybill.outbox_messages set status = 'dead', dead_at = now() where id = $1`, [first]);
    expect(await idOf(`waybill.enqueue('job', 'dies', '{}', delivery_key => 'k')`)).not.toBe(first);
  });

  // The same bad input to both: the same code.
  it.each<[string, Partial<Record<keyof NewMessage, unknown>>]>([
    ['a kind that is none', { kind: 'pigeon' }],
    ['an empty name', { name: '' }],
    ['a name with a space', { name: 'a b' }],
    ['a name of 201 letters', { name: 'x'.repeat(201) }],
    ['a queue with a slash', { queue: 'a/b' }],
    ['an empty delivery key', { deliveryKey: '' }],
    ['a delivery key with a line break', { deliveryKey: 'a\nb' }],
    ['a delivery key of 256', { deliveryKey: 'k'.repeat(256) }],
    ['an empty group', { group: '' }],
    ['a group of 201', { group: 'g'.repeat(201) }],
    ['a group of 201 characters beyond the first plane', { group: '𝒯'.repeat(201) }],
    ['a group with a line break', { group: 'a\nb' }],
    ['a group with U+009F', { group: 'a\u009f' }],
    ['an empty order key', { orderKey: '' }],
    ['an order key of 201', { orderKey: 'k'.repeat(201) }],
    ['an order key with U+0001', { orderKey: 'a\u0001' }],
    ['an onDead that is none', { onDead: 'wait' }],
    ['a priority of 1001', { priority: 1001 }],
    ['no attempts', { maxAttempts: 0 }],
    ['1001 attempts', { maxAttempts: 1001 }],
    ['the year 20000', { availableAt: new Date(Date.UTC(20_000, 0)) }],
    ['a payload that is too large', { payload: 'x'.repeat(300_000) }],
    ['a request id of 201', { requestId: 'r'.repeat(201) }],
    ['a traceparent that is none', { traceparent: '00-x-y-01' }],
    ['a traceparent of zeroes', { traceparent: `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01` }],
  ])('%s is refused, as by the library', async (_, over) => {
    const message = { kind: 'job', name: 'n', queue: 'jobs', payload: {}, ...over } as NewMessage;
    let code = 'accepted';
    try {
      checkMessage(message);
    } catch (error) {
      code = (error as { code: string }).code;
    }
    const before = await count();
    const values = [
      message.kind,
      message.name,
      JSON.stringify(message.payload),
      message.queue,
      message.deliveryKey ?? null,
      message.availableAt ?? null,
      message.priority ?? 0,
      message.maxAttempts ?? 10,
      message.requestId ?? null,
      message.traceparent ?? null,
      message.group ?? null,
      message.orderKey ?? null,
      message.onDead ?? 'block',
    ];
    const refused = sql(
      `select waybill.enqueue($1, $2, $3::jsonb, $4, $5, $6, $7, $8, $9, $10, group_key => $11, order_key => $12,
        on_dead => $13)`,
      values,
    );
    await expect(refused).rejects.toMatchObject({ code: '22023', detail: code });
    expect(await count()).toBe(before);
  });

  it('a group and an order key of 200 characters are accepted, as by the library', async () => {
    const [group, orderKey] = ['𝒯'.repeat(200), '\u2028 a key'];
    checkMessage({ kind: 'job', name: 'n', queue: 'jobs', payload: {}, group, orderKey });
    const id = await idOf(`waybill.enqueue('job', 'n', '{}', group_key => $1, order_key => $2)`, [
      group,
      orderKey,
    ]);
    expect(
      await sql(
        `select group_key, order_key, waybill.outbox_flaw(m) as flaw from waybill.outbox_messages m where id = $1`,
        [id],
      ),
    ).toEqual([{ group_key: group, order_key: orderKey, flaw: null }]);
  });

  it('a payload that is null is refused; the limit of payloads can be set', async () => {
    await expect(sql(`select waybill.enqueue('job', 'n', null)`)).rejects.toMatchObject({
      detail: 'payload_not_json',
    });
    const small = database.db.transaction(async (tx) => {
      await tx.executeSql(`set local waybill.max_payload_bytes = 10`);
      await tx.executeSql(`select waybill.enqueue('job', 'n', '{"text": "more than ten"}')`);
    });
    await expect(small).rejects.toMatchObject({ detail: 'payload_too_large' });
  });
});
