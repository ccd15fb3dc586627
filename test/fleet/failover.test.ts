// A second email provider under load, with real processes and a real Postgres: the first provider (a stand-in of Resend's API behind a wire that can refuse
// connections) is away while 50 mails a second are recorded, and one worker is killed as it goes. The second is a mail server in this process.
// WAYBILL_FAILOVER_SECONDS makes the outage longer, and prints figures.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepareEmail } from '../../src/email/email.ts';
import { listProviders } from '../../src/queues/providers.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { startOutage, type Outage } from '../support/outage.ts';
import { startResend, type ResendServer } from '../support/resend.ts';
import { startSmtp, type SmtpServer } from '../support/smtp.ts';
import { until } from '../support/wait.ts';

const outageSeconds = Number(process.env['WAYBILL_FAILOVER_SECONDS'] ?? 0);
const isMeasured = process.env['WAYBILL_FAILOVER_SECONDS'] !== undefined;

let world: World;
let resend: ResendServer;
let wire: Outage;
let smtp: SmtpServer;
let serial = 0;
let underWay = 0;
let gate: Promise<void> = Promise.resolve();

beforeAll(async () => {
  // While the gate is shut, requests are under way: they are accepted although the wire is cut meanwhile.
  const waiting = async (): Promise<undefined> => {
    underWay += 1;
    await gate;
    return undefined;
  };
  resend = await startResend({ answer: waiting, answerBatch: waiting });
  wire = await startOutage(resend.url);
  smtp = await startSmtp();
  world = await fleetWorld({
    WAYBILL_EMAIL_PROVIDER: 'resend,smtp',
    RESEND_API_KEY: 're_test',
    RESEND_BASE_URL: `http://127.0.0.1:${wire.port}`,
    SMTP_URL: smtp.url,
    WAYBILL_CONCURRENCY: '10',
    WAYBILL_LEASE: '10s',
  });
});
afterAll(async () => {
  await world.end();
  await wire.close();
  await Promise.all([resend.close(), smtp.close()]);
});

async function record(count: number): Promise<string[]> {
  const mails = Array.from({ length: count }, () => {
    const to = `a${(serial += 1)}@b.test`;
    const email = { from: 'shop@shop.test', to, subject: 'Receipt', text: 'Thank you' };
    const payload = prepareEmail(email, { defaultFrom: null });
    return { kind: 'email', name: 'email', queue: 'email', payload } as const;
  });
  return (await world.outbox.enqueue(mails)).map(({ id }) => id);
}

/** At most, of the load. */
const perSecond = 50;

/** Records so many mails a second until it is stopped. */
function load() {
  const recorded = new Map<string, number>(); // when, by id
  let running = true;
  const done = (async () => {
    while (running) {
      const at = Date.now();
      for (const id of await record(perSecond / 10)) recorded.set(id, at);
      await sleep(100);
      // A slow machine gets no backlog, which would hide what is measured.
      await until(() => recorded.size - resend.accepted.length - smtp.mails.length < 200, {
        timeoutMs: 120_000,
      });
    }
  })();
  return {
    recorded,
    stop: async () => {
      running = false;
      await done;
    },
  };
}

const atResend = (): string[] => resend.accepted.map(({ email }) => email.tags[0]!.value);
const atSmtp = (): string[] => smtp.mails.map(({ messageId }) => messageId.slice(1, 37));
const isParked = async (): Promise<boolean> =>
  (await listProviders(world.database.db))[0]?.state === 'parked';

it(
  'mails go by the second while the first is away, back by themselves, and none twice; what may have arrived waits',
  async () => {
    const { fleet } = world;
    const [, victim] = [fleet.launch('relay'), fleet.launch('email'), fleet.launch('email')];
    await until(async () => (await listProviders(world.database.db)).length === 2, {
      what: 'a worker that has started',
      timeoutMs: 120_000,
    });
    const { recorded, stop } = load();
    await until(() => resend.accepted.length > 20, { what: 'mails by the first', timeoutMs: 120_000 });
    expect(smtp.mails).toEqual([]);

    victim.kill('SIGKILL');
    await victim.ended;
    const { promise, resolve: open } = Promise.withResolvers<void>();
    gate = promise;
    underWay = 0;
    await until(() => underWay > 0, { what: 'a request that is under way when the wire is cut' });
    await wire.begin();
    const awayAt = Date.now();
    open();
    await until(isParked, { what: 'the parked provider' });
    const parkedAt = Date.now();
    const ofOutage = (): string[] => [...recorded].filter(([, at]) => at > parkedAt).map(([id]) => id);
    await until(() => ofOutage().filter((id) => atSmtp().includes(id)).length > 50, {
      what: 'mails by the second',
      timeoutMs: 120_000,
    });
    await until(() => smtp.mails.length >= perSecond * outageSeconds, {
      what: 'the mails of the outage',
      timeoutMs: 120_000 + 1_500 * outageSeconds,
    });
    const during = ofOutage();
    const endAt = Date.now();
    await wire.end();

    await until(async () => !(await isParked()), { what: 'the probe that succeeds', timeoutMs: 75_000 });
    const backAt = Date.now();
    await stop();
    await world.quiet(120_000);
    const last = await record(10);
    await world.quiet(120_000);

    expect(last.filter((id) => !atResend().includes(id))).toEqual([]);
    expect(await world.counts()).toEqual({ delivered: recorded.size + last.length });
    expect([...atResend(), ...atSmtp()].toSorted()).toEqual([...recorded.keys(), ...last].toSorted());
    const waited = await world.count(
      `select count(*)::int as n from waybill.email_handovers h join waybill.outbox_attempts a using (message_id) where h.provider = 'resend'`,
    );
    expect(waited).toBeGreaterThan(0); // they met the outage, and the first provider had them in the end
    if (isMeasured)
      console.log({
        mails: recorded.size,
        bySecond: atSmtp().length,
        duringOutage: during.length,
        ofThoseByFirst: during.filter((id) => atResend().includes(id)).length,
        parkedAfterMs: parkedAt - awayAt,
        outageMs: endAt - awayAt,
        backAfterMs: backAt - endAt,
        waitedForTheFirst: waited,
        ...(await latencies(during)),
      });
  },
  300_000 + outageSeconds * 1_500,
);

/** From the recording to the recorded delivery, in ms, of mails of the outage. */
async function latencies(ids: readonly string[]): Promise<object> {
  const { rows } = await world.database.db.executeSql<Record<'p50' | 'p99' | 'max', number>>(
    `select percentile_cont(0.5) within group (order by ms) as p50, percentile_cont(0.99) within group (order by ms) as p99, max(ms) as max
       from (select 1000 * extract(epoch from delivered_at - created_at)::float8 as ms from waybill.outbox_messages where id = any($1::uuid[])) m`,
    [ids],
  );
  return rows[0]!;
}
