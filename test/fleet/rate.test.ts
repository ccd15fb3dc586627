import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepareEmail } from '../../src/email/email.ts';
import { listQueues } from '../../src/queues/queues.ts';
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

type Round = { readonly shortest: number; readonly blind: number; readonly perSecond: number };

async function round(): Promise<Round> {
  const email = { from: 'shop@waybill.test', to: 'a@b.test', subject: 'Receipt', text: 'Thank you' };
  const payload = prepareEmail(email, { defaultFrom: null });
  const count = 8 * rate;
  arrivals.length = 0;
  const stall = stallWatch();
  await world.enqueue('email', payload, count, { kind: 'email', queue: 'email' });
  await world.quiet();
  const blind = stall();
  expect(arrivals).toHaveLength(count);
  const spans = arrivals.slice(rate).map((at, i) => at - arrivals[i]!); // from each mail to the one `rate` mails later
  const seconds = (arrivals.at(-1)! - arrivals[0]!) / 1_000;
  return { shortest: Math.min(...spans), blind, perSecond: (count - 1) / seconds };
}

it('WAYBILL_EMAIL_RATE is not exceeded at the provider in any second, with several workers, and it is used', async () => {
  // A machine that stops a worker between its turn and its mail makes the provider see two turns closer together. So one of three rounds is
  // to be without such a stop; the permits themselves are held by test/postgres/rate.test.ts under a clock of its own.
  const rounds: Round[] = [];
  const isKept = ({ shortest, blind, perSecond }: Round): boolean =>
    shortest >= 1_000 - blind && perSecond > 0.6 * rate;
  while (rounds.length < 3 && !rounds.some(isKept)) rounds.push(await round());
  expect(rounds.some(isKept), JSON.stringify(rounds)).toBe(true);
  expect(await world.count('select max(attempts)::int as n from waybill.outbox_messages')).toBe(1);
  const shown = (await listQueues(world.database.db)).find(({ name }) => name === 'email');
  expect(shown).toMatchObject({ rate, state: 'open', waiting: 0, inFlight: 0 });
});
