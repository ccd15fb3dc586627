// What becomes of each recipient of an email: without a provider's provider, a database or a clock.

import { describe, expect, test } from 'vitest';
import { deliverEmail, type Mailing } from '../../src/delivery/email.ts';
import { PermanentError } from '../../src/delivery/failure.ts';
import { prepareEmail } from '../../src/email/email.ts';
import { EmailError } from '../../src/email/error.ts';
import { createGuard } from '../../src/email/guard.ts';
import type { EmailProvider, Handover, Receipt } from '../../src/email/provider.ts';
import { defaultBackoff } from '../../src/message/backoff.ts';
import type { ClaimedMessage } from '../../src/message/message.ts';

const id = '01900000-0000-7000-8000-000000000001';
const signal = new AbortController().signal;

function claimed(email: object): ClaimedMessage {
  const input = {
    from: 'shop@shop.test',
    to: ['ann@b.test', 'bob@c.test'],
    subject: 's',
    text: 't',
    ...email,
  };
  return {
    id,
    kind: 'email',
    name: 'email',
    queue: 'email',
    payload: 'only' in input ? input : prepareEmail(input, { defaultFrom: null }),
    attempt: 1,
    maxAttempts: 7,
    claimToken: 't',
    deliveryKey: null,
    requestId: 'r',
    traceparent: null,
    createdAt: new Date('2026-01-01T00:00:00Z'),
  };
}

type Setup = Partial<Omit<Mailing, 'provider'>> & {
  readonly idempotent?: boolean;
  readonly answer?: (about: Handover) => Partial<Receipt>;
};

async function deliver(
  message: ClaimedMessage,
  { idempotent = false, answer = () => ({}), ...over }: Setup = {},
) {
  const sent: Handover[] = [];
  const outcomes: string[] = [];
  const warned: unknown[] = [];
  const provider: EmailProvider = {
    name: 'test',
    idempotent,
    async send(_, about) {
      sent.push(about);
      return { accepted: about.recipients, rejected: [], response: '250 ok <ann@b.test>', ...answer(about) };
    },
  };
  const mailing = { provider, allowed: () => true, suppressed: async () => new Map(), ...over };
  const { outcome } = await deliverEmail(message, signal, {
    mailing,
    emailFrom: null,
    backoff: defaultBackoff,
    onEmail: (_, what) => outcomes.push(what),
    log: { warn: (facts: unknown) => void warned.push(facts) } as never,
  });
  return { outcome, sent, outcomes, warned };
}

test('accepted: the handover is the same on every attempt, and the answer is noted without addresses', async () => {
  const { outcome, sent, outcomes } = await deliver(claimed({ cc: 'carl@d.test' }), {
    answer: () => ({ reference: 'ref' }),
  });
  expect(sent).toEqual([
    {
      messageId: `<${id}@shop.test>`,
      idempotencyKey: id,
      date: new Date('2026-01-01T00:00:00Z'),
      recipients: ['ann@b.test', 'bob@c.test', 'carl@d.test'],
      signal,
    },
  ]);
  expect(outcome).toEqual({
    type: 'delivered',
    then: [],
    notes: [{ type: 'accepted', detail: '250 ok <a***@b.test>', reference: 'ref' }],
  });
  expect(outcomes).toEqual(['accepted']);
});

describe('some are refused beside others that are accepted', () => {
  const rejected = [
    { address: 'bob@c.test', error: '550 5.1.1 <bob@c.test> unknown' },
    { address: 'carl@d.test', error: '450 4.2.1 greylisted', temporary: true },
  ];

  test('for good: noted; for now: a message of its own, and the log shows no address', async () => {
    const { outcome, warned } = await deliver(claimed({ cc: 'carl@d.test' }), {
      answer: () => ({ rejected }),
    });
    expect(outcome).toMatchObject({
      type: 'delivered',
      then: [
        {
          kind: 'email',
          queue: 'email',
          maxAttempts: 7,
          requestId: 'r',
          payload: { subject: 's', only: { of: id, recipients: ['carl@d.test'] } },
        },
      ],
      notes: [
        { type: 'accepted' },
        { type: 'refused', recipient: 'bob@c.test', detail: '550 5.1.1 <b***@c.test> unknown' },
        { type: 'deferred', recipient: 'carl@d.test', detail: '450 4.2.1 greylisted' },
      ],
    });
    expect(JSON.stringify(warned)).not.toMatch(/bob|carl/);
  });

  test('the message of its own has the group, the tags and the priority', async () => {
    const flow = { group: 'acme', tags: ['invoice'], priority: 7 };
    const { outcome } = await deliver(
      { ...claimed({ cc: 'carl@d.test' }), ...flow },
      { answer: () => ({ rejected }) },
    );
    expect(outcome).toMatchObject({ then: [flow] });
  });

  test('the message of its own goes to those alone, under the first Message-ID', async () => {
    const of = '01900000-0000-7000-8000-00000000000f';
    const payload = {
      from: { address: 'shop@shop.test' },
      to: [{ address: 'ann@b.test' }],
      subject: 's',
      text: 't',
    };
    const again = claimed({ ...payload, only: { of, recipients: ['carl@d.test', 'dora@d.test'] } });
    const { outcome, sent } = await deliver(again, {
      answer: () => ({ rejected: [{ address: 'dora@d.test', error: '451', temporary: true }] }),
    });
    expect(sent[0]).toMatchObject({
      messageId: `<${of}@shop.test>`,
      idempotencyKey: id,
      recipients: ['carl@d.test', 'dora@d.test'],
    });
    expect(outcome).toMatchObject({ then: [{ payload: { only: { of, recipients: ['dora@d.test'] } } }] });
  });
});

test('who did not fit into the request gets a message of his own, and no warning', async () => {
  const { outcome, warned } = await deliver(claimed({ cc: 'carl@d.test' }), {
    answer: () => ({ accepted: ['ann@b.test'], later: ['bob@c.test', 'carl@d.test'] }),
  });
  expect(outcome).toMatchObject({
    then: [{ payload: { only: { recipients: ['bob@c.test', 'carl@d.test'] } } }],
    notes: [
      { type: 'accepted' },
      { type: 'separate', recipient: 'bob@c.test', detail: expect.stringContaining('a mail of its own') },
      { type: 'separate', recipient: 'carl@d.test' },
    ],
  });
  expect(warned).toEqual([]);
});

test('all recipients of the request are refused, and another did not fit into it: nothing is noted as accepted', async () => {
  const { outcome } = await deliver(claimed({}), {
    answer: () => ({
      accepted: [],
      rejected: [{ address: 'ann@b.test', error: '406 inactive' }],
      later: ['bob@c.test'],
    }),
  });
  expect(outcome).toMatchObject({
    type: 'delivered',
    then: [{ payload: { only: { recipients: ['bob@c.test'] } } }],
    notes: [
      { type: 'refused', recipient: 'ann@b.test', detail: '406 inactive' },
      { type: 'separate', recipient: 'bob@c.test' },
    ],
  });
});

test('99 recipients of bcc: ten follow-ups at most side by side, and none is missed or sent twice', async () => {
  const bcc = Array.from({ length: 99 }, (_, i) => `h${i}@b.test`);
  const [got, most, notes]: [string[], number[], number[]] = [[], [], []];
  let [left, depth] = [[claimed({ to: 'ann@b.test', bcc })], 0];
  for (; left.length > 0; depth++) {
    const next: ClaimedMessage[] = [];
    for (const message of left) {
      const { outcome } = await deliver(message, {
        answer: ({ recipients: [first, ...others] }) => {
          got.push(first!);
          return { accepted: [first!], later: others };
        },
      });
      if (outcome.type !== 'delivered') throw new Error(outcome.type);
      most.push(outcome.then.length);
      notes.push(outcome.notes!.length - 1);
      next.push(...outcome.then.map(({ payload }) => claimed(payload as object)));
    }
    left = next;
  }
  expect(got.toSorted()).toEqual(['ann@b.test', ...bcc].toSorted());
  expect(Math.max(...most)).toBe(10);
  expect(depth).toBe(3);
  expect(notes.reduce((sum, n) => sum + n, 0)).toBeLessThan(200);
});

describe('whom it does not go to', () => {
  test('the guard withholds it, and the others get it', async () => {
    const { outcome, sent } = await deliver(claimed({}), { allowed: createGuard(['C.test', 'zoe@b.test']) });
    expect(sent[0]?.recipients).toEqual(['bob@c.test']);
    expect(outcome).toMatchObject({
      notes: [{ type: 'accepted' }, { type: 'withheld', recipient: 'ann@b.test' }],
    });
  });

  test('nobody is left: delivered, marked and not sent', async () => {
    const { outcome, sent, outcomes } = await deliver(claimed({}), { allowed: createGuard(['nobody.test']) });
    expect(sent).toEqual([]);
    expect(outcome).toMatchObject({ type: 'delivered', notes: [{ type: 'withheld' }, { type: 'withheld' }] });
    expect(outcomes).toEqual(['withheld']);
  });

  test('the suppressed, with the reason', async () => {
    const { outcome, sent, outcomes } = await deliver(claimed({ to: 'ann@b.test' }), {
      suppressed: async () => new Map([['ann@b.test', 'bounced']]),
    });
    expect(sent).toEqual([]);
    expect(outcome).toMatchObject({
      type: 'delivered',
      notes: [{ type: 'suppressed', recipient: 'ann@b.test', detail: 'bounced' }],
    });
    expect(outcomes).toEqual(['suppressed']);
  });

  test('a list that cannot be read is not the message’s failure', async () => {
    const { outcome, sent } = await deliver(claimed({}), {
      suppressed: () => Promise.reject(new Error('away')),
    });
    expect(sent).toEqual([]);
    expect(outcome).toMatchObject({
      type: 'released',
      reason: expect.stringMatching(/^the suppression list could not be read: away/) as string,
    });
  });
});

describe('failures', () => {
  const lost = (): never => {
    throw new EmailError('reset', { provider: 'test', phase: 'sent' });
  };

  test('a lost answer is ambiguous, unless the provider knows the key again', async () => {
    const doubtful = await deliver(claimed({}), { answer: lost });
    expect(doubtful.outcome).toMatchObject({ failure: { type: 'transient', ambiguous: true } });
    expect(doubtful.outcomes).toEqual(['ambiguous']);
    const safe = await deliver(claimed({}), { answer: lost, idempotent: true });
    expect(safe.outcome).toMatchObject({ failure: { type: 'transient' } });
    expect(safe.outcome).not.toHaveProperty('failure.ambiguous');
    expect(safe.outcomes).toEqual(['transient']);
  });

  test('a provider of the application’s own may throw what handlers may throw', async () => {
    const refuse = (): never => {
      throw new PermanentError('no such template');
    };
    const { outcome } = await deliver(claimed({}), { answer: refuse });
    expect(outcome).toMatchObject({ failure: { type: 'permanent', message: 'no such template' } });
  });

  test('a worker without WAYBILL_EMAIL_FROM makes no email dead that names no sender', async () => {
    const payload = { to: [{ address: 'ann@b.test' }], subject: 's', text: 't' };
    const { outcome, sent } = await deliver({ ...claimed({}), payload });
    expect(sent).toEqual([]);
    expect(outcome).toMatchObject({
      failure: {
        type: 'operator',
        maybeOwn: true,
        message: expect.stringContaining('WAYBILL_EMAIL_FROM') as string,
      },
    });
  });

  test('a payload that is no email any more is permanent', async () => {
    const { outcome } = await deliver({ ...claimed({}), payload: { to: 'bob' } });
    expect(outcome).toMatchObject({ failure: { type: 'permanent' } });
  });
});

describe('the guard', () => {
  test.each([
    [['b.test'], 'a@b.test', true],
    [['@b.test'], 'a@b.test', true],
    [['b.test'], 'a@sub.b.test', false],
    [['b.test'], 'a@evilb.test', false],
    [['Ann@B.test'], 'ann@b.test', true],
    [['ann@b.test'], 'bob@b.test', false],
    [['mäger.ee'], 'j@xn--mger-loa.ee', true],
  ])('%j and %s: %s', (allowed, address, expected) => {
    expect(createGuard(allowed)(address)).toBe(expected);
  });
});
