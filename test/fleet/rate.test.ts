import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepareEmail } from '../../src/email/email.ts';
import { listQueues } from '../../src/outbox/queues.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { startSmtp, type SmtpServer } from '../support/smtp.ts';

const rate = 40;
const workers = 4;

let world: World;
let smtp: SmtpServer;
const arrivals: number[] = [];

beforeAll(async () => {
  smtp = await startSmtp({
    answer(stage) {
      if (stage === 'data') arrivals.push(performance.now());
      return undefined;
    },
  });
  world = await fleetWorld({
    WAYBILL_EMAIL_PROVIDER: 'smtp',
    SMTP_URL: smtp.url,
    WAYBILL_EMAIL_RATE: String(rate),
    WAYBILL_LEASE: '5s',
  });
  await world.fleet.start('relay');
  await Promise.all(Array.from({ length: workers }, () => world.fleet.start('email')));
});
afterAll(async () => {
  await world.end();
  await smtp.close();
});

/** How long this process could not look at the clock: by so much the times it notes may be wrong. */
function stallWatch(): () => number {
  let [longest, seen] = [0, performance.now()];
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - seen);
    seen = performance.now();
  }, 2);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

it('WAYBILL_EMAIL_RATE is not exceeded at the far side in any second, with several workers, and it is used', async () => {
  const email = { from: 'shop@waybill.test', to: 'a@b.test', subject: 'Receipt', text: 'Thank you' };
  const payload = prepareEmail(email, { defaultFrom: null });
  const count = 8 * rate;
  const stall = stallWatch();
  await world.enqueue('email', payload, count, { kind: 'email', queue: 'email' });
  await world.quiet();
  const blind = stall();
  expect(arrivals).toHaveLength(count);
  const spans = arrivals.slice(rate).map((at, i) => at - arrivals[i]!); // from each mail to the one `rate` mails later
  expect(Math.min(...spans)).toBeGreaterThanOrEqual(1_000 - blind);
  const seconds = (arrivals.at(-1)! - arrivals[0]!) / 1_000;
  expect((count - 1) / seconds).toBeGreaterThan(0.6 * rate); // 95 % under a clock of its own: test/postgres/rate.test.ts
  expect(await world.count('select max(attempts)::int as n from waybill.outbox_messages')).toBe(1);
  const shown = (await listQueues(world.database.db)).find(({ name }) => name === 'email');
  expect(shown).toMatchObject({ rate, state: 'open', waiting: 0, inFlight: 0 });
});
