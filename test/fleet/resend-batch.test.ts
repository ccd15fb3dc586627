// Several emails for Resend in one request: the provider alone, then a fleet through errors, lost answers and a worker's death.

import { afterEach, describe, expect, it, test } from 'vitest';
import { failureOf } from '../../src/delivery/failure.ts';
import { createProvider } from '../../src/email/choose.ts';
import { prepareEmail, type EmailInput } from '../../src/email/email.ts';
import { EmailError } from '../../src/email/error.ts';
import type { EmailBatches, Mail } from '../../src/email/provider.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { fleetWorld } from '../support/fleet-world.ts';
import type { Deviation, Reply } from '../support/mail-api.ts';
import { problem, startResend, type ResendServer } from '../support/resend.ts';
import { until } from '../support/wait.ts';

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

async function server(options: Parameters<typeof startResend>[0] = {}): Promise<ResendServer> {
  const resend = await startResend(options);
  open.push(resend);
  return resend;
}

describe('the provider', () => {
  const key = '00000000-0000-4000-8000-000000000001';
  const idOf = (n: number): string => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;

  function batches({ url }: ResendServer): EmailBatches {
    const options = { smtpUrl: null, production: true, leaseMs: 60_000 } as const;
    const made = createProvider(
      'resend',
      { ...options, resendApiKey: 're_test', resendBaseUrl: url },
      {
        log: { info: () => undefined, warn: () => undefined },
        db: { executeSql: () => Promise.reject(new Error('the provider resend needs no database')) },
      },
    );
    open.push({ close: async () => made.close?.() });
    return made.batch!;
  }

  function mail(n: number, over: Partial<EmailInput> = {}): Mail {
    const input = { from: 'shop@shop.test', to: `a${n}@b.test`, subject: 'Hello', text: 'Hi', ...over };
    const email = prepareEmail(input, { defaultFrom: null });
    const recipients = [...email.to, ...(email.bcc ?? [])].map(({ address }) => address);
    const date = new Date('2026-01-01T00:00:00Z');
    const about = { messageId: `<m${n}@shop.test>`, idempotencyKey: idOf(n), date, recipients };
    return { email, about };
  }

  function send(to: EmailBatches, mails: readonly Mail[]) {
    return to.send(mails, { idempotencyKey: key, signal: new AbortController().signal });
  }

  async function failing(work: Promise<unknown>): Promise<EmailError> {
    const error: unknown = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof EmailError)) throw new Error(`no EmailError: ${String(error)}`);
    return error;
  }

  test('each has the receipt with its own id, and its own tag and Message-ID', async () => {
    const resend = await server();
    const receipts = await send(batches(resend), [mail(1), mail(2)]);
    expect(receipts).toEqual(
      resend.accepted.map(({ id }, i) => ({
        accepted: [`a${i + 1}@b.test`],
        rejected: [],
        response: `HTTP 200 ${id}`,
        reference: id,
      })),
    );
    expect(resend.accepted.map(({ email }) => email.tags[0]?.value)).toEqual([idOf(1), idOf(2)]);
    expect(resend.accepted.map(({ email }) => email.headers['Message-ID'])).toEqual([
      '<m1@shop.test>',
      '<m2@shop.test>',
    ]);
    expect(resend.accepted.map((one) => one.key)).toEqual([key, key]);
    expect(resend.requests).toEqual([2]);
  });

  test('D: asked again under the same key, it gives what it gave first and sends nothing', async () => {
    let asked = 0;
    const resend = await server({
      answerBatch: () => (++asked === 1 ? { accept: true, say: 'drop' } : undefined),
    });
    const to = batches(resend);
    const mails = [mail(1), mail(2), mail(3)];
    expect((await failing(send(to, mails))).phase).toBe('sent');
    const receipts = await send(to, mails);
    expect(receipts).toMatchObject(resend.accepted.map(({ id }) => ({ reference: id })));
    expect(resend.accepted).toHaveLength(3);
  });

  test('one that Resend refuses is refused alone, for good; the others have their own ids', async () => {
    const resend = await server({
      wrong: ({ to }) => (to[0] === 'a2@b.test' ? 'invalid <a2@b.test>' : undefined),
    });
    const [first, second, third] = await send(batches(resend), [mail(1), mail(2), mail(3)]);
    const [one, two] = resend.accepted;
    expect([first, third]).toMatchObject([{ reference: one!.id }, { reference: two!.id }]);
    expect(second).toBeInstanceOf(EmailError);
    expect(failureOf(second)).toMatchObject({ type: 'permanent' });
    expect((second as EmailError).message).toBe('refused in a batch: invalid <a***@b.test>');
  });

  const id = '49a3999c-0ce1-4ea6-ab68-afcd6dc2e794';
  test.each<[string, Reply]>([
    ['too few ids', { status: 200, body: { data: [{ id }] } }],
    [
      'an index twice',
      { status: 200, body: { data: [], errors: [0, 0].map((index) => ({ index, message: 'm' })) } },
    ],
    ['an index too high', { status: 200, body: { data: [{ id }], errors: [{ index: 2, message: 'm' }] } }],
    ['HTML', { status: 200, body: '<html>' }],
  ])('an answer that does not speak of each once (%s) says nothing of any', async (_, say) => {
    const resend = await server({ answerBatch: () => ({ accept: true, say }) });
    const error = await failing(send(batches(resend), [mail(1), mail(2)]));
    expect(failureOf(error)).toMatchObject({ type: 'transient' });
  });

  test('a rate limit holds for the whole request', async () => {
    const resend = await server({ answerBatch: () => ({ say: problem(429, 'rate_limit_exceeded') }) });
    const error = await failing(send(batches(resend), [mail(1), mail(2)]));
    expect(failureOf(error)).toMatchObject({ type: 'transient', holdsQueue: true });
  });

  test('neither attachments nor long texts go among others', async () => {
    const to = batches(await server());
    const attachments = [{ filename: 'f', content: 'c' }];
    expect(
      [mail(1), mail(1, { attachments }), mail(1, { text: 'x'.repeat(50_001) })].map(({ email }) =>
        to.takes(email),
      ),
    ).toEqual([true, false, false]);
  });
});

describe('a fleet', () => {
  const count = 1_000;
  const met = new Map<string, number>();

  /** Which requests meet what; the rest is accepted and answered. */
  const deviations: readonly [name: string, every: number, at: number, deviation: Deviation][] = [
    ['an error', 9, 2, { say: problem(500, 'internal_server_error') }],
    ['accepted, then an error', 11, 4, { accept: true, say: problem(500, 'internal_server_error') }],
    ['accepted, then closed', 13, 6, { accept: true, say: 'drop' }],
  ];

  function deviating(): () => Deviation | undefined {
    let asked = 0;
    return () => {
      asked += 1;
      const [name, , , deviation] = deviations.find(([, every, at]) => asked % every === at) ?? [];
      if (name !== undefined) met.set(name, (met.get(name) ?? 0) + 1);
      return deviation;
    };
  }

  it('D: what is accepted is what was committed, each once, less the refused one, in far fewer requests', async () => {
    const refused = 'a500@b.test';
    const resend = await server({
      answerBatch: deviating(),
      wrong: ({ to }) => (to[0] === refused ? 'The `to` field is invalid.' : undefined),
    });
    const world = await fleetWorld({
      WAYBILL_EMAIL_PROVIDER: 'resend',
      RESEND_API_KEY: 're_test',
      RESEND_BASE_URL: resend.url,
      WAYBILL_LEASE: '2s',
    });
    open.push({ close: world.end });
    const { fleet } = world;
    const messages = Array.from({ length: count }, (_, i): NewMessage => {
      const email = { from: 'shop@waybill.test', to: `a${i}@b.test`, subject: 'Receipt', text: 'Thank you' };
      const payload = prepareEmail(email, { defaultFrom: null });
      return { kind: 'email', name: 'email', queue: 'email', payload };
    });
    const ids = (await world.outbox.enqueue(messages)).map(({ id }) => id);
    await fleet.start('relay');
    const [victim, other] = await Promise.all([fleet.start('email'), fleet.start('email')]);
    await until(() => resend.accepted.length > 200, { what: '200 acceptances' });
    victim.kill('SIGKILL');
    await victim.ended;
    await world.quiet(60_000);
    expect(await world.counts()).toEqual({ delivered: count - 1, dead: 1 });
    const dead = await world.count(
      `select count(*)::int as n from waybill.outbox_messages where status = 'dead' and id = $1`,
      [ids[500]],
    );
    expect(dead).toBe(1);
    const tags = resend.accepted.map(({ email }) => email.tags[0]!.value);
    expect(tags.toSorted()).toEqual(ids.filter((_, i) => i !== 500).toSorted());
    expect([...met.keys()].toSorted()).toEqual(deviations.map(([name]) => name).toSorted());
    expect(resend.repeats()).toBeGreaterThan(0);
    expect(resend.requests.length).toBeLessThan(count / 3);
    expect(await other.stop()).toBe(0);
  }, 120_000);
});
