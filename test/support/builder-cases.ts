// What holds for the outbox in transactions of a query builder, whichever it is.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { isMissingSchema, sqlState } from '../../src/db/diagnosis.ts';
import { toExecutor } from '../../src/db/executor.ts';
import { createPostgresOutbox, type NewMessage } from '../../src/index.ts';
import { outboxPortCases } from '../../src/testing.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { postgresHarness } from './outbox-harness.ts';
import type { Builder } from './query-builders.ts';

let serial = 0;
function message(over: Partial<NewMessage> = {}): NewMessage {
  serial += 1;
  return { kind: 'job', name: 'note', queue: 'jobs', payload: { serial }, ...over };
}

/** Tests of one builder: call it in a `describe`. @param make gives the builder for a database */
export function builderCases(make: (url: string) => Builder): void {
  let database: TestDatabase;
  let builder: Builder;
  beforeAll(async () => {
    database = await testDatabase();
    await database.db.executeSql('create table notes (note text primary key)');
    builder = make(database.url);
  });
  afterAll(async () => {
    await builder.end();
    await database.end();
  });

  /** What is there for everybody to see: does the row stand, how many messages carry the key. */
  async function seen(note: string): Promise<{ row: boolean; messages: number }> {
    const sql = `select exists (select from notes where note = $1) as row,
      (select count(*)::int from waybill.outbox_messages where delivery_key = $1) as messages`;
    return (await database.db.executeSql<{ row: boolean; messages: number }>(sql, [note])).rows[0]!;
  }

  it('A: row and message commit together', async () => {
    const enqueued = await builder.transaction(async ({ source, insert }) => {
      await insert('together');
      const answer = await createPostgresOutbox(source).enqueue(message({ deliveryKey: 'together' }));
      expect(await seen('together')).toEqual({ row: false, messages: 0 });
      return answer;
    });
    expect(enqueued).toMatchObject({ status: 'pending', duplicate: false });
    expect(await seen('together')).toEqual({ row: true, messages: 1 });
  });

  it('A: row and message roll back together', async () => {
    const failing = builder.transaction(async ({ source, insert }) => {
      await insert('undone');
      await createPostgresOutbox(source).enqueue(message({ deliveryKey: 'undone' }));
      throw new Error('after both');
    });
    await expect(failing).rejects.toThrow('after both');
    expect(await seen('undone')).toEqual({ row: false, messages: 0 });
  });

  it('a delivery key that stands gives the first id and leaves the transaction usable', async () => {
    const record = async (note: string) =>
      builder.transaction(async ({ source, insert }) => {
        const answer = await createPostgresOutbox(source).enqueue(message({ deliveryKey: 'key' }));
        await insert(note);
        return answer;
      });
    const first = await record('first');
    expect(await record('second')).toEqual({ id: first.id, status: 'pending', duplicate: true });
    expect(await seen('second')).toMatchObject({ row: true });
    expect(await seen('key')).toMatchObject({ messages: 1 });
  });

  it('many messages are recorded in order, with all that a message can carry', async () => {
    const availableAt = new Date('2031-02-03T04:05:06.789Z');
    const payloads = [{ text: `'"\\ $1 ?| ☕ {a,"b"}` }, [1, null, 'x'], 'text', 7, null];
    const given = payloads.map((payload) => message({ payload, queue: 'many', requestId: 'r' }));
    const ids = await builder.transaction(async ({ source }) =>
      createPostgresOutbox(source).enqueue([...given, message({ queue: 'many', availableAt, priority: 3 })]),
    );
    const { rows } = await database.db.executeSql<Record<string, unknown>>(
      `select id, payload, priority, available_at as "availableAt", request_id as "requestId"
         from waybill.outbox_messages where queue = 'many' order by id`,
    );
    expect(rows.map(({ id }) => id)).toEqual(ids.map(({ id }) => id));
    expect(rows.slice(0, -1).map(({ payload }) => payload)).toEqual(payloads);
    expect(rows[0]).toMatchObject({ requestId: 'r', priority: 0 });
    expect(rows.at(-1)).toMatchObject({ availableAt, priority: 3, requestId: null });
  });

  it('a message that is refused has its code, and what came before it can still commit', async () => {
    await builder.transaction(async ({ source, insert }) => {
      await insert('survives');
      const bad = createPostgresOutbox(source).enqueue([message(), message({ payload: { a: '\0' } })]);
      await expect(bad).rejects.toMatchObject({ name: 'WaybillError', code: 'null_character' });
    });
    expect(await seen('survives')).toMatchObject({ row: true });
  });

  it("the database's own errors keep their SQLSTATE", async () => {
    const doubled = builder.transaction(async ({ insert }) => {
      await insert('twice');
      await insert('twice');
    });
    expect(sqlState(await doubled.catch((error: unknown) => error))).toBe('23505');
    const elsewhere = await testDatabase({ migrated: false });
    const other = make(elsewhere.url);
    const error: unknown = await createPostgresOutbox(other.plain)
      .enqueue(message())
      .catch((thrown: unknown) => thrown);
    await other.end();
    await elsewhere.end();
    expect([sqlState(error), isMissingSchema(error)]).toEqual(['42P01', true]);
  });

  it.each(outboxPortCases.map((one) => [one.name, one] as const))('as a port: %s', (__, one) =>
    one.run(postgresHarness(toExecutor(builder.plain), database.db)),
  );
}
