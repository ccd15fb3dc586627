// Failover of email providers: drains on a real Postgres, with the provider `resend` against a stand-in of its API and the provider `smtp` against a mail
// server in this process. Two drains with their own providers stand for two processes.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { defineApp } from '../../src/define/app.ts';
import { drainOutbox } from '../../src/drain/drain.ts';
import type { DrainReport } from '../../src/drain/report.ts';
import { prepareEmail } from '../../src/email/email.ts';
import { configuredDrain } from '../../src/fleet/drain.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import { fleetGauges } from '../../src/metrics/gauges.ts';
import { showMessage } from '../../src/operate/read.ts';
import { runMessage } from '../../src/operate/run-now.ts';
import { claimProbes } from '../../src/outbox/batch.ts';
import { registerProviders, type ProviderView } from '../../src/queues/providers.ts';
import { resumeQueue, showQueue } from '../../src/queues/queues.ts';
import { waitLine } from '../../src/queues/waits.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { createQueueCloser } from '../../src/worker/queue-closer.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { startOutage, type Outage } from '../support/outage.ts';
import type { Deviation } from '../support/mail-api.ts';
import { problem, startResend, type ResendServer } from '../support/resend.ts';
import { startSmtp, type Reply as SmtpReply, type SmtpServer } from '../support/smtp.ts';

let database: TestDatabase;
let resend: ResendServer;
let wire: Outage;
let smtp: SmtpServer;
/** What the stand-in of Resend says instead of the usual. */
let says: Deviation | undefined;
let domains: Deviation['say'] | undefined;
let mailServerSays: SmtpReply;
const open: { close(): Promise<void> }[] = [];
const log = createLog({ level: 'silent', role: 'test' });
const app = defineApp({});

beforeAll(async () => {
  database = await testDatabase({ max: 20 });
  resend = await startResend({
    answer: () => says,
    answerBatch: () => says,
    get domains() {
      return domains!;
    },
  });
  smtp = await startSmtp({ answer: (stage) => (stage === 'rcpt' ? mailServerSays : undefined) });
});
afterAll(async () => {
  await resend.close();
  await smtp.close();
  await database.end();
});

beforeEach(async () => {
  wire = await startOutage(resend.url);
  [says, domains, mailServerSays] = [undefined, undefined, undefined];
  await sql('delete from waybill.outbox_messages');
  await registerProviders(database.db, []);
  await registerProviders(database.db, ['resend', 'smtp']);
  await resumeQueue(database.db, 'email');
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  await wire.close();
});

const sql = (text: string, values: unknown[] = []) => database.db.executeSql(text, values);

/** One process: its own providers, and a drain of one batch. */
function process(workerId = 'a', list = 'resend,smtp', smtpUrl = smtp.url) {
  const config = readConfig({
    DATABASE_URL: database.url,
    WAYBILL_EMAIL_PROVIDER: list,
    RESEND_API_KEY: 're_test',
    RESEND_BASE_URL: `http://127.0.0.1:${wire.port}`,
    SMTP_URL: smtpUrl,
    WAYBILL_LEASE: '1m',
  });
  const { db } = database;
  const {
    options,
    queues,
    process: around,
    close,
  } = configuredDrain(app, {
    config,
    db,
    handlers: db,
    log,
    workerId,
  });
  open.push({ close });
  const closer = createQueueCloser({
    db,
    events: createEvents(log, createMetrics({ version: 't' })),
    workerId,
    outboxOn: createPostgresOutbox,
  });
  const lease = { leaseMs: config.leaseMs, workerId };
  return {
    failover: around.mailing.failover,
    drain: (): Promise<DrainReport> =>
      drainOutbox(options, { ...around, closer, claimProbes: () => claimProbes(db, queues, lease) }),
  };
}

let serial = 0;
/** @param alone with an attachment, so it goes in a request of its own */
async function enqueue(count: number, { alone = false } = {}): Promise<string[]> {
  const attachments = [{ filename: 'a.txt', content: 'a' }];
  const messages = Array.from({ length: count }, () => {
    const to = `a${(serial += 1)}@b.test`;
    const email = { from: 'shop@shop.test', to, subject: 's', text: 't', ...(alone && { attachments }) };
    const payload = prepareEmail(email, { defaultFrom: null });
    return { kind: 'email', name: 'email', queue: 'email', payload } as const;
  });
  return (await createPostgresOutbox(database.db).enqueue(messages)).map(({ id }) => id);
}

const idsAtSmtp = (ids: readonly string[]): string[] =>
  smtp.mails.map(({ messageId }) => messageId.slice(1, 37)).filter((id) => ids.includes(id));
const idsAtResend = (ids: readonly string[]): string[] =>
  resend.accepted.map(({ email }) => email.tags[0]!.value).filter((id) => ids.includes(id));

const due = () =>
  sql(
    `update waybill.outbox_messages set available_at = now() where status = 'failed' or status = 'pending'`,
  );
const probeDue = () => sql(`update waybill.email_providers set probe_at = now() where parked_at is not null`);
/** Under load, the usual five seconds may pass within a test. */
const probeLater = () =>
  sql(`update waybill.email_providers set probe_at = now() + interval '1 hour' where parked_at is not null`);
/** Resend refuses us, and is parked. */
async function parkResend(): Promise<void> {
  says = revoked;
  await enqueue(1);
  await process().drain();
  await probeLater();
  expect(await state()).toEqual({ resend: 'parked', smtp: 'open' });
}

async function providers(): Promise<readonly ProviderView[]> {
  return (await showQueue(database.db, 'email')).providers;
}
const state = async (): Promise<Record<string, string>> =>
  Object.fromEntries((await providers()).map((one) => [one.name, one.state]));

const revoked: Deviation = { say: problem(401, 'invalid_api_key', 'API key is invalid') };

/** Resend answers again, and has all of these mails; SMTP has none. */
const backAtResend = async (ids: readonly string[]): Promise<void> => {
  says = undefined;
  await probeDue();
  for (let i = 0; i < 3; i++) {
    await due();
    await process().drain();
  }
  expect(idsAtResend(ids).toSorted()).toEqual(ids.toSorted());
  expect(idsAtSmtp(ids)).toEqual([]);
};

describe('the first provider refuses us', () => {
  it('it is parked for every process, the mails go by the second in the same attempt, the queue stays open', async () => {
    says = revoked;
    const ids = await enqueue(8, { alone: true });
    expect(await process('a').drain()).toMatchObject({ claimed: 8, delivered: 8 });
    expect(idsAtSmtp(ids).toSorted()).toEqual(ids.toSorted());
    expect(await showQueue(database.db, 'email')).toMatchObject({ state: 'open' });
    expect((await providers())[0]).toMatchObject({
      name: 'resend',
      state: 'parked',
      by: 'a',
      reason: expect.stringMatching(/^resend: the provider does not accept our key/) as string,
      waiting: 0,
    });
    await probeLater();
    const before = resend.requests.length;
    const later = await enqueue(5);
    expect(await process('b').drain()).toMatchObject({ delivered: 5 });
    expect(resend.requests.length).toBe(before); // the other process knows without a try
    expect(idsAtSmtp(later)).toHaveLength(5);
    const { notes, attempts } = await showMessage(database.db, later[0]!);
    expect(notes[0]).toMatchObject({
      type: 'accepted',
      detail: expect.stringMatching(/^smtp: 250/) as string,
    });
    expect(attempts.filter(({ outcome }) => outcome !== 'delivered')).toEqual([]);
  });

  it('a probe that fails costs its mail no attempt; one that succeeds brings all back', async () => {
    says = revoked;
    await enqueue(1);
    const one = process();
    await one.drain();
    await probeDue();
    const [probe, ...others] = await enqueue(4);
    expect(await one.drain()).toMatchObject({ delivered: 4 });
    expect(idsAtSmtp([probe!, ...others])).toHaveLength(4);
    expect((await providers())[0]!.probe).toMatchObject({ failed: 1 });
    says = undefined;
    await probeDue();
    const back = await enqueue(1);
    expect(await one.drain()).toMatchObject({ delivered: 1 });
    expect(idsAtResend(back)).toEqual(back);
    expect(await state()).toEqual({ resend: 'open', smtp: 'open' });
    const next = await enqueue(6);
    await process('b').drain();
    expect(idsAtResend(next).toSorted()).toEqual(next.toSorted());
  });

  it('of many mails at once, one alone is the probe', async () => {
    says = revoked;
    await enqueue(1);
    const [one, other] = [process('a'), process('b')];
    await one.drain();
    await probeDue();
    const before = resend.requests.length;
    await enqueue(20, { alone: true });
    const reports = await Promise.all([one.drain(), other.drain()]);
    expect(reports.reduce((sum, { delivered }) => sum + delivered, 0)).toBe(20);
    expect(resend.requests.length - before).toBe(1);
  });

  it('a person who resumes the queue brings it back at once', async () => {
    says = revoked;
    await enqueue(1);
    await process().drain();
    says = undefined;
    expect((await resumeQueue(database.db, 'email')).providers[0]).toMatchObject({ state: 'open' });
    const ids = await enqueue(1);
    await process().drain();
    expect(idsAtResend(ids)).toEqual(ids);
  });
});

describe('the first provider is away', () => {
  it('refused connections: each mail goes by the second at once, and the third such failure parks the first', async () => {
    await wire.begin();
    const one = process();
    for (const [n, expected] of [
      [1, 'open'],
      [2, 'open'],
      [3, 'parked'],
    ] as const) {
      const ids = await enqueue(1);
      expect(await one.drain()).toMatchObject({ delivered: 1 });
      expect(idsAtSmtp(ids)).toEqual(ids);
      expect({ n, ...(await state()) }).toEqual({ n, resend: expected, smtp: 'open' });
    }
    await probeDue();
    await enqueue(1);
    await one.drain();
    expect(await state()).toMatchObject({ resend: 'parked' });
    await wire.end();
    await probeDue();
    const ids = await enqueue(3);
    await one.drain();
    expect(idsAtResend(ids).length).toBeGreaterThan(0);
    expect(await state()).toEqual({ resend: 'open', smtp: 'open' });
  });

  it('an acceptance in between begins the count anew', async () => {
    const one = process();
    for (let i = 0; i < 4; i++) {
      await wire.begin();
      await enqueue(1);
      await one.drain();
      await wire.end();
      await enqueue(1);
      await one.drain();
    }
    expect(await state()).toEqual({ resend: 'open', smtp: 'open' });
  });

  it('a mail server that closes (421) has not taken the mail: it goes by the next', async () => {
    mailServerSays = { code: 421, text: '4.3.2 closing' };
    const ids = await enqueue(2);
    expect(await process('a', 'smtp,resend').drain()).toMatchObject({ delivered: 2 });
    expect(idsAtResend(ids).toSorted()).toEqual(ids.toSorted());
  });

  it("a proxy's page with a 4xx kills no mail: it goes by the next", async () => {
    says = { say: { status: 413, body: '<html>Request Entity Too Large</html>' } };
    const ids = await enqueue(2, { alone: true });
    expect(await process().drain()).toMatchObject({ delivered: 2 });
    expect(idsAtSmtp(ids).toSorted()).toEqual(ids.toSorted());
  });

  it('while nothing stands behind it, it is not parked for being away', async () => {
    mailServerSays = { code: 421, text: '4.3.2 closing' };
    says = revoked;
    const ids = await enqueue(6);
    expect(await process().drain()).toMatchObject({ delivered: 0, retried: 6 });
    expect(await state()).toEqual({ resend: 'parked', smtp: 'open' });
    expect(await showQueue(database.db, 'email')).toMatchObject({ state: 'open' });
    [says, mailServerSays] = [undefined, undefined];
    await due();
    await process().drain();
    expect([...idsAtSmtp(ids), ...idsAtResend(ids)].toSorted()).toEqual(ids.toSorted());
  });
});

describe('a provider asks for a wait of an hour', () => {
  const inAnHour: Deviation = {
    say: { status: 429, headers: { 'retry-after': '3600' }, body: { name: 'rate_limit_exceeded' } },
  };

  it('the last open one is parked with the queue, whose probe opens the first', async () => {
    mailServerSays = { code: 421, text: '4.3.2 closing' };
    const one = process('a', 'smtp,resend');
    await enqueue(3);
    await one.drain();
    expect(await state()).toEqual({ resend: 'open', smtp: 'parked' });
    await probeLater();
    says = inAnHour;
    const ids = await enqueue(3);
    expect(await one.drain()).toMatchObject({ delivered: 0, dead: 0, retried: 0 });
    expect(await state()).toEqual({ resend: 'parked', smtp: 'parked' });
    expect(await showQueue(database.db, 'email')).toMatchObject({ state: 'parked' });
    mailServerSays = undefined;
    await sql(`update waybill.queues set probe_at = now() where name = 'email'`);
    await one.drain();
    expect(await showQueue(database.db, 'email')).toMatchObject({ state: 'open' });
    expect(await state()).toEqual({ resend: 'parked', smtp: 'open' });
    await one.drain();
    expect(idsAtSmtp(ids).toSorted()).toEqual(ids.toSorted());
  });

  it('a mail that must wait for it does not hold the others', async () => {
    says = { say: 'drop' };
    const [bound] = await enqueue(1, { alone: true });
    const one = process();
    await one.drain();
    says = inAnHour;
    await due();
    expect(await one.drain()).toMatchObject({ released: 1, retried: 0 });
    expect((await showMessage(database.db, bound!)).waitsFor).toMatchObject({ state: 'provider' });
    expect(await showQueue(database.db, 'email')).toMatchObject({ state: 'open' });
    const others = await enqueue(2);
    expect(await one.drain()).toMatchObject({ delivered: 2 });
    expect(idsAtSmtp(others).toSorted()).toEqual(others.toSorted());
  });
});

describe('our database does not take the plan of a batch', () => {
  beforeEach(async () => {
    await sql(
      `create function public.refuse() returns trigger language plpgsql as $$ begin raise 'out of disk'; end $$`,
    );
    await sql(
      'create trigger refuse before insert or update on waybill.email_batches for each row execute function public.refuse()',
    );
  });
  afterEach(async () => {
    await sql('drop function if exists public.refuse cascade');
  });
  const failures = async (): Promise<unknown> =>
    (await sql(`select failures from waybill.email_providers where name = 'resend'`)).rows;

  it('the mail keeps its attempt, and it says nothing of the provider', async () => {
    await sql(`update waybill.email_providers set failures = 2 where name = 'resend'`);
    const [id] = await enqueue(2);
    expect(await process().drain()).toMatchObject({ released: 2, retried: 0 });
    expect(await showMessage(database.db, id!)).toMatchObject({
      attemptCount: 0,
      lastError: expect.stringMatching(
        /^the plans of batches could not be read or written: out of disk/,
      ) as string,
    });
    expect(await failures()).toEqual([{ failures: 2 }]);
    await sql('drop function public.refuse cascade');
    await parkResend();
    await due();
    await process().drain();
    expect(idsAtSmtp([id!])).toEqual([id]); // it is known not to be at Resend
  });

  it('a probe does not reopen its provider', async () => {
    await process().failover!.parking.park({
      name: 'resend',
      reason: 'no key',
      worker: 'w',
      begunAt: new Date().toISOString(),
    });
    await probeDue();
    await enqueue(1);
    expect(await process().drain()).toMatchObject({ released: 1 });
    expect(await state()).toEqual({ resend: 'parked', smtp: 'open' });
  });

  it('one provider alone: the mail keeps its attempt', async () => {
    await enqueue(2);
    expect(await process('a', 'resend').drain()).toMatchObject({ released: 2, retried: 0 });
  });
});

describe('a mail that may have arrived', () => {
  /** A mail that Resend accepted, and whose answer was lost; then Resend is parked. */
  async function lost(): Promise<string> {
    says = { accept: true, say: 'drop' };
    const [id] = await enqueue(1, { alone: true });
    expect(await process().drain()).toMatchObject({ retried: 1 });
    await parkResend();
    await due();
    return id!;
  }

  it('waits for its provider, without an attempt, and says so; then it goes by it, once', async () => {
    const id = await lost();
    const one = process();
    for (let i = 0; i < 3; i++) {
      expect(await one.drain()).toMatchObject({ claimed: 1, released: 1 });
      await due();
    }
    const message = await showMessage(database.db, id);
    expect(message).toMatchObject({ status: 'failed', attemptCount: 1, waitsFor: { state: 'provider' } });
    expect(message.attempts).toHaveLength(1);
    expect(waitLine(message.waitsFor!)).toMatch(
      /^an earlier attempt may have arrived at resend, which is parked: resend: .*; waiting since 2/,
    );
    expect((await providers())[0]).toMatchObject({ waiting: 1 });
    expect(await fleetGauges(database.db)).toMatch(/waybill_email_provider_waiting\{provider="resend"\} 1/);
    expect(await fleetGauges(database.db)).toMatch(/waybill_email_provider_parked\{provider="resend"\} 1/);
    says = undefined;
    await probeDue();
    expect(await one.drain()).toMatchObject({ delivered: 1 });
    expect([idsAtResend([id]), idsAtSmtp([id])]).toEqual([[id], []]);
    expect(resend.repeats()).toBeGreaterThan(0);
    expect(await state()).toEqual({ resend: 'open', smtp: 'open' });
    expect((await providers())[0]).toMatchObject({ waiting: 0 });
  });

  it.each([
    ['a mail that waits', true],
    ['a mail before its next attempt', false],
  ])('a person may send it by the other provider: %s', async (_, waits) => {
    const id = await lost();
    if (waits) await process().drain();
    await database.db.transaction((tx) => runMessage(tx, id));
    expect(await process().drain()).toMatchObject({ delivered: 1 });
    expect(idsAtSmtp([id])).toEqual([id]);
  });

  it('when its provider is taken off the list, it goes by the others', async () => {
    const id = await lost();
    await process().drain();
    await registerProviders(database.db, []);
    expect((await showMessage(database.db, id)).waitsFor).toBeNull();
    await due();
    expect(await process('c', 'smtp').drain()).toMatchObject({ delivered: 1 });
    expect(idsAtSmtp([id])).toEqual([id]);
  });

  it.each([
    ['an HTTP 500', { accept: true, say: problem(500, 'internal_server_error') }],
    ['an answer that cannot be read', { accept: true, say: { status: 200, body: '<html>' } }],
  ] as const)('%s leaves it with its provider as well', async (_, answer) => {
    says = answer;
    const ids = await enqueue(3, { alone: true });
    await process().drain();
    await parkResend();
    await due();
    await process().drain();
    expect(idsAtSmtp(ids)).toEqual([]);
    says = undefined;
    await probeDue();
    await due();
    await process().drain();
    await due();
    await process().drain();
    expect([...idsAtResend(ids), ...idsAtSmtp(ids)].toSorted()).toEqual(ids.toSorted());
  });

  it('one whose worker died while it handed it over stays with that provider', async () => {
    const [id] = await enqueue(1);
    const dead = process('dead');
    await dead.failover!.handovers.begin({ message: id!, provider: 'resend', attempt: 1 });
    await sql(`update waybill.outbox_messages set available_at = now() + interval '1 hour'`); // its lease
    await parkResend();
    await due();
    await process().drain();
    expect((await showMessage(database.db, id!)).waitsFor).toMatchObject({ state: 'provider' });
    says = undefined;
    await probeDue();
    await due();
    await process().drain();
    expect([idsAtResend([id!]), idsAtSmtp([id!])]).toEqual([[id], []]);
  });

  it('a whole batch stays with its provider', async () => {
    says = { accept: true, say: 'drop' };
    const ids = await enqueue(6);
    await process().drain();
    await parkResend();
    await due();
    await process().drain();
    expect(idsAtSmtp(ids)).toEqual([]);
    await backAtResend(ids);
  });
});

describe('attempts from before the list', () => {
  it.each([
    ['a lost answer', { accept: true, say: 'drop' }],
    ['an HTTP 500', { accept: true, say: problem(500, 'internal_server_error') }],
  ] as const)(
    '%s of the only provider: the mail stays with it, whoever is first later',
    async (_, answer) => {
      says = answer;
      const ids = [...(await enqueue(3)), ...(await enqueue(2, { alone: true }))];
      expect(await process('a', 'resend').drain()).toMatchObject({ retried: 5 });
      await parkResend();
      for (const list of ['resend,smtp', 'smtp,resend']) {
        await due();
        await process('a', list).drain();
        expect(idsAtSmtp(ids)).toEqual([]);
      }
      await backAtResend(ids);
    },
  );

  it('the only provider refused the connection: the mail goes by the second at once', async () => {
    await wire.begin();
    const ids = [...(await enqueue(3)), ...(await enqueue(2, { alone: true }))];
    expect(await process('a', 'resend').drain()).toMatchObject({ retried: 5 });
    await due();
    await process().drain();
    expect(idsAtSmtp(ids).toSorted()).toEqual(ids.toSorted());
  });

  it('where the loss cannot be recorded, the attempt says it', async () => {
    const [id] = await enqueue(1, { alone: true });
    says = { accept: true, say: 'drop' };
    await sql('alter table waybill.email_handovers rename to email_handovers_away');
    try {
      await process('a', 'resend').drain();
    } finally {
      await sql('alter table waybill.email_handovers_away rename to email_handovers');
    }
    const { attempts } = await showMessage(database.db, id!);
    expect(attempts).toMatchObject([{ outcome: 'ambiguous' }]);
  });

  /** Its worker died before it recorded a handover. */
  async function claimedByTheDead(): Promise<string> {
    const [id] = await enqueue(1);
    const claiming = { queues: ['email'], limit: 1, leaseMs: 60_000, workerId: 'dead' };
    expect(await createPostgresOutbox(database.db).claimBatch(claiming)).toMatchObject([{ id }]);
    await parkResend();
    await sql(
      `update waybill.outbox_messages set claimed_until = now() - interval '1 second' where id = $1::uuid`,
      [id],
    );
    return id!;
  }

  it('a worker that died may have sent by its only provider: the mail waits for the first', async () => {
    const id = await claimedByTheDead();
    await process().drain();
    await due();
    await process().drain();
    expect((await showMessage(database.db, id)).waitsFor).toMatchObject({ state: 'provider' });
    await backAtResend([id]);
  });

  it('a person may send it by the other provider', async () => {
    const id = await claimedByTheDead();
    await createPostgresOutbox(database.db).expire(10);
    await database.db.transaction((tx) => runMessage(tx, id));
    expect(await process().drain()).toMatchObject({ delivered: 1 });
    expect(idsAtSmtp([id])).toEqual([id]);
  });

  it('a worker with the list died before a handover: no provider has the mail', async () => {
    await sql(`update waybill.email_providers set listed_at = now() - interval '2 hours'`);
    const id = await claimedByTheDead();
    await process().drain();
    await due();
    await process().drain();
    expect(idsAtSmtp([id])).toEqual([id]);
  });
});

describe('no provider is left', () => {
  it('parks the queue with each reason; its probe tries all, and opens the one that works', async () => {
    says = revoked;
    mailServerSays = { code: 535, text: '5.7.8 no' };
    await enqueue(5);
    expect(await process().drain()).toMatchObject({ delivered: 0, dead: 0, retried: 0 });
    const queue = await showQueue(database.db, 'email');
    expect(queue).toMatchObject({
      state: 'parked',
      reason: expect.stringMatching(/resend: .*smtp: /) as string,
    });
    expect(await state()).toEqual({ resend: 'parked', smtp: 'parked' });
    mailServerSays = undefined;
    await sql(`update waybill.queues set probe_at = now() where name = 'email'`);
    await due();
    await process().drain();
    expect(await showQueue(database.db, 'email')).toMatchObject({ state: 'open' });
    expect(await state()).toEqual({ resend: 'parked', smtp: 'open' });
    await due();
    await process().drain();
    says = undefined;
  });

  describe('the probe of the queue is a mail that must wait for its provider', () => {
    /** Every provider is parked, and only such mails are due. */
    async function allParked(smtpUrl?: string): Promise<void> {
      says = { say: 'drop' };
      await enqueue(3, { alone: true });
      await process().drain();
      says = revoked;
      mailServerSays = { code: 535, text: '5.7.8 no' };
      const [free] = await enqueue(1);
      await process().drain();
      expect(await showQueue(database.db, 'email')).toMatchObject({ state: 'parked' });
      mailServerSays = undefined;
      await due();
      await sql(
        `update waybill.outbox_messages set available_at = now() + interval '1 hour' where id = $1::uuid`,
        [free],
      );
      await sql(`update waybill.queues set probe_at = now() where name = 'email'`);
      await process('a', 'resend,smtp', smtpUrl).drain();
    }

    it('another provider answers: it and the queue open', async () => {
      await allParked();
      expect(await state()).toEqual({ resend: 'parked', smtp: 'open' });
      expect(await showQueue(database.db, 'email')).toMatchObject({ state: 'open' });
    });

    it('none answers: the next probe comes after the usual pause', async () => {
      await allParked('smtp://127.0.0.1:1');
      expect(await state()).toEqual({ resend: 'parked', smtp: 'parked' });
      const { rows } = await sql(
        `select probes, parked_reason as reason from waybill.queues where name = 'email'`,
      );
      expect(rows).toMatchObject([
        {
          probes: 1,
          reason: expect.stringMatching(/^an email may have arrived at resend, and waits/) as string,
        },
      ]);
    });
  });

  it('a parked provider behind an open one comes back by its verify', async () => {
    const parking = process().failover!.parking;
    await parking.park({ name: 'smtp', reason: 'smtp: no', worker: 'w', begunAt: new Date().toISOString() });
    expect(await state()).toEqual({ resend: 'open', smtp: 'parked' });
    await probeDue();
    const ids = await enqueue(1);
    await process().drain();
    expect(await state()).toEqual({ resend: 'open', smtp: 'open' });
    expect(idsAtResend(ids)).toEqual(ids);
  });
});
