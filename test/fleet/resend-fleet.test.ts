// Two thousand emails, each in a request of its own because of its attachment, through everything that can go wrong between two workers
// and Resend, and the workers' deaths.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepareEmail } from '../../src/email/email.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import type { Deviation } from '../support/mail-api.ts';
import { problem, startResend, type ResendServer } from '../support/resend.ts';
import { until } from '../support/wait.ts';

const count = 2_000;
const workerEnv = { WAYBILL_CONCURRENCY: '25' };

let world: World;
let resend: ResendServer;
const met = new Map<string, number>();

/** Which requests of every thousand meet what; the rest is accepted and answered. */
const deviations: readonly [name: string, every: number, at: number, deviation: Deviation][] = [
  ['a rate limit', 800, 99, rateLimit()],
  ['an error', 20, 7, { say: problem(500, 'internal_server_error') }],
  ['HTML', 100, 50, { say: { status: 502, body: '<html>' } }],
  ['closed', 50, 21, { say: 'drop' }],
  ['accepted, then an error', 40, 13, { accept: true, say: problem(500, 'internal_server_error') }],
  ['accepted, then closed', 40, 31, { accept: true, say: 'drop' }],
  ['accepted, then no answer in time', 100, 42, { accept: true, say: 'hang' }],
];

function rateLimit(): Deviation {
  const body = { statusCode: 429, name: 'rate_limit_exceeded', message: 'too many requests' };
  return { say: { status: 429, headers: { 'retry-after': '1' }, body } };
}

function answer(): () => Deviation | undefined {
  let asked = 0;
  return () => {
    asked += 1;
    const [name, , , deviation] = deviations.find(([, every, at]) => asked % every === at) ?? [];
    if (name !== undefined) met.set(name, (met.get(name) ?? 0) + 1);
    return deviation;
  };
}

beforeAll(async () => {
  resend = await startResend({ answer: answer() });
  world = await fleetWorld({
    WAYBILL_EMAIL_PROVIDER: 'resend',
    RESEND_API_KEY: 're_test',
    RESEND_BASE_URL: resend.url,
    WAYBILL_LEASE: '3s',
  });
});
afterAll(async () => {
  await world.end();
  await resend.close();
});

it('D: what is accepted is what was committed, each once, through errors, lost answers, rate limits and killed workers', async () => {
  const { fleet } = world;
  await fleet.start('relay');
  const workers = await Promise.all([fleet.start('email', workerEnv), fleet.start('email', workerEnv)]);
  const messages = Array.from({ length: count }, (_, i): NewMessage => {
    const attachments = [{ filename: 'receipt.txt', content: '2 × tea' }];
    const to = `a${i}@b.test`;
    const email = { from: 'shop@waybill.test', to, subject: 'Receipt', text: 'Thank you', attachments };
    const payload = prepareEmail(email, { defaultFrom: null });
    return { kind: 'email', name: 'email', queue: 'email', payload };
  });
  const ids = (await world.outbox.enqueue(messages)).map(({ id }) => id);
  for (const [victim, after] of [
    [workers[0], 400],
    [workers[1], 900],
  ] as const) {
    await until(() => resend.accepted.length > after, { what: `${after} acceptances`, timeoutMs: 40_000 });
    victim!.kill('SIGKILL');
    await victim!.ended;
    workers.push(await fleet.start('email', workerEnv));
  }
  await world.quiet(80_000);
  expect(await world.counts()).toEqual({ delivered: count });
  const tags = resend.accepted.map(({ email }) => email.tags[0]!.value);
  expect(tags.toSorted()).toEqual(ids.toSorted());
  expect([...met.keys()].toSorted()).toEqual(deviations.map(([name]) => name).toSorted());
  expect(resend.repeats()).toBeGreaterThan(100); // acceptances of which the worker heard at a later attempt
  const ambiguous = `select count(*)::int as n from waybill.outbox_attempts where outcome = 'ambiguous'`;
  expect(await world.count(ambiguous)).toBe(0);
  expect(await Promise.all(workers.slice(-2).map((worker) => worker.stop()))).toEqual([0, 0]);
}, 180_000);
