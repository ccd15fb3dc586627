// The table of plans: what it says of an email that may have been handed over, whoever reads and writes at the same time.

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchingOf } from '../../src/delivery/batching.ts';
import { createBatchPlans, type BatchPlans, type PlannedEmail } from '../../src/email/batch-plan.ts';
import { prepareEmail } from '../../src/email/email.ts';
import { EmailError } from '../../src/email/error.ts';
import type { EmailProvider, Mail, Receipt } from '../../src/email/provider.ts';
import { createPostgresOutbox, defineOutboxRegistry, drainOutbox } from '../../src/index.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let plans: BatchPlans;

beforeAll(async () => {
  database = await testDatabase();
  plans = createBatchPlans(database.db, 'resend');
});
afterAll(() => database.end());

async function recorded(count: number): Promise<string[]> {
  const messages = Array.from({ length: count }, (_, i) => {
    const email = {
      from: 'shop@shop.test',
      to: `a${i}@b.test`,
      subject: 's',
      text: 't',
      headers: { 'X-B': '1', 'X-A': '2' },
    };
    const payload = prepareEmail(email, { defaultFrom: null });
    return { kind: 'email' as const, name: 'email', queue: 'email', payload };
  });
  return (await createPostgresOutbox(database.db).enqueue(messages)).map(({ id }) => id);
}

const planned = (ids: readonly string[], batch: string): PlannedEmail[] =>
  ids.map((messageId, position) => ({
    messageId,
    batch,
    position,
    size: ids.length,
    recipients: [`${position}@b.test`],
  }));

async function written(count: number): Promise<{ ids: string[]; batch: string }> {
  const [ids, batch] = [await recorded(count), randomUUID()];
  await plans.write(planned(ids, batch));
  return { ids, batch };
}

const receipt: Receipt = { accepted: [], rejected: [], response: 'taken', reference: 'r' };

describe('D: a plan', () => {
  it('is found by message, and gives the batch in its order', async () => {
    const { ids, batch } = await written(3);
    const [free] = await recorded(1);
    const found = await plans.find([...ids, free!]);
    const plan = { batch, young: true, answer: null, isForeign: false };
    expect(found).toEqual(new Map(ids.map((id) => [id, plan])));
    const elsewhere = await createBatchPlans(database.db, 'postmark').find(ids);
    expect([...elsewhere.values()].map(({ isForeign }) => isForeign)).toEqual([true, true, true]);
    const members = await plans.again(batch);
    expect(members?.map(({ id, recipients }) => [id, recipients])).toEqual(
      ids.map((id, i) => [id, [`${i}@b.test`]]),
    );
    expect(members?.[1]).toMatchObject({ payload: { subject: 's' }, createdAt: expect.any(Date) as Date });
  });

  it('is not written over, and what was written beside it is not whole', async () => {
    const { ids, batch } = await written(2);
    const [other] = await recorded(1);
    const late = randomUUID();
    await expect(plans.write(planned([other!, ids[0]!], late))).rejects.toThrow('another worker');
    expect((await plans.find(ids)).get(ids[0]!)?.batch).toBe(batch);
    expect(await plans.again(late)).toBeUndefined();
  });

  it.each([0, 2])('goes with its message: without member %i, the batch is not given again', async (gone) => {
    const { ids, batch } = await written(3);
    await database.db.executeSql('delete from waybill.outbox_messages where id = $1', [ids[gone]]);
    expect(await plans.again(batch)).toBeUndefined();
  });

  it('is no longer young before the provider forgets the key', async () => {
    const { ids } = await written(1);
    const old = `update waybill.email_batches set planned_at = now() - interval '23 hours 1 second' where message_id = $1`;
    await database.db.executeSql(old, [ids[0]]);
    expect((await plans.find(ids)).get(ids[0]!)?.young).toBe(false);
  });

  it('keeps the first answer', async () => {
    const { ids, batch } = await written(2);
    await plans.keep(batch, new Map([[ids[0]!, { receipt }]]));
    await plans.keep(batch, new Map(ids.map((id) => [id, { receipt: null }])));
    const found = await plans.find(ids);
    expect(ids.map((id) => found.get(id)?.answer)).toEqual([{ receipt }, { receipt: null }]);
  });

  it('is freed, and then written anew', async () => {
    const { ids, batch } = await written(2);
    await plans.free(batch, { force: false });
    expect([...(await plans.find(ids)).values()].map((plan) => plan.batch)).toEqual([null, null]);
    expect(await plans.again(batch)).toBeUndefined();
    const next = randomUUID();
    await plans.write(planned(ids.toReversed(), next));
    expect((await plans.again(next))?.map(({ id }) => id)).toEqual(ids.toReversed());
  });

  it('is not freed by who asked first, once another asks again', async () => {
    const { ids, batch } = await written(2);
    await plans.again(batch);
    await plans.free(batch, { force: false });
    expect((await plans.find(ids)).get(ids[1]!)?.batch).toBe(batch);
    await plans.free(batch, { force: true });
    expect((await plans.find(ids)).get(ids[1]!)?.batch).toBeNull();
  });

  it('is freed or asked for again, never both, when the two meet', async () => {
    for (let round = 0; round < 20; round++) {
      const { ids, batch } = await written(5);
      const [members] = await Promise.all([plans.again(batch), plans.free(batch, { force: false })]);
      const left = [...(await plans.find(ids)).values()].filter((plan) => plan.batch === batch);
      expect([members?.length ?? 0, left.length]).toEqual(members ? [5, 5] : [0, 0]);
    }
  });
});

it('D: a drain with the batching of its fleet asks for the same bytes again after a lost answer', async () => {
  const requests: { readonly key: string; readonly mails: readonly Mail[] }[] = [];
  const provider: EmailProvider = {
    name: 'test',
    idempotent: true,
    send: () => Promise.reject(new Error('nothing goes alone here')),
    batch: {
      size: 100,
      takes: () => true,
      async send(mails, { idempotencyKey: key }) {
        requests.push({ key, mails });
        if (requests.length === 1) throw new EmailError('lost', { provider: 'test', phase: 'sent' });
        return mails.map(() => receipt);
      },
    },
  };
  await database.db.executeSql('delete from waybill.outbox_messages');
  const ids = await recorded(4);
  const batching = batchingOf(provider, { plans, emailFrom: null, newBatch: randomUUID })!;
  const drain = () =>
    drainOutbox({
      outbox: createPostgresOutbox(database.db),
      registry: defineOutboxRegistry({}),
      email: { provider, batching },
      retryDelayMs: () => 0, // due at once: without a bound the same drain would take them again
      batchSize: 4,
    });
  expect(await drain()).toMatchObject({ claimed: 4, retried: 4 });
  expect(await drain()).toMatchObject({ claimed: 4, delivered: 4 });
  expect(requests).toHaveLength(2);
  expect(requests[0]!.mails.map(({ about }) => about.idempotencyKey).toSorted()).toEqual(ids.toSorted());
  expect(JSON.stringify(requests[1])).toBe(JSON.stringify(requests[0]));
});
