// The provider smtp against Postfix itself: what its own words become. It delays refusals until RCPT, as most of its kind do.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failureOf } from '../../src/delivery/failure.ts';
import { prepareEmail } from '../../src/email/email.ts';
import type { EmailProvider, Receipt } from '../../src/email/provider.ts';
import { createSmtpProvider } from '../../src/email/smtp/smtp.ts';
import type { Failure } from '../../src/message/outcome.ts';
import { hasPostfix, startPostfix, type Postfix } from '../support/postfix.ts';
import { until } from '../support/wait.ts';

let postfix: Postfix;
const open: EmailProvider[] = [];
beforeAll(async () => {
  if (hasPostfix) postfix = await startPostfix();
}, 60_000);
afterAll(async () => {
  for (const provider of open) await provider.close?.();
  if (hasPostfix) await postfix.end();
});

type Asked = { readonly to: readonly string[]; readonly text?: string };

function provider(over: Partial<Parameters<typeof createSmtpProvider>[0]> = {}): EmailProvider {
  const made = createSmtpProvider({ url: postfix.url, leaseMs: 30_000, name: 'web.shop.test', ...over });
  open.push(made);
  return made;
}

function send(by: EmailProvider, { to, text = 'Thank you' }: Asked): Promise<Receipt | Failure> {
  const email = prepareEmail(
    { from: 'shop@shop.test', to: [...to], subject: 'Tea', text },
    { defaultFrom: null },
  );
  const about = {
    messageId: '<m@shop.test>',
    idempotencyKey: 'm',
    date: new Date('2026-01-01T00:00:00Z'),
    recipients: to,
    signal: new AbortController().signal,
  };
  return by.send(email, about).catch((error: unknown) => failureOf(error));
}

describe.skipIf(!hasPostfix)('Postfix', () => {
  test.each<[string, Asked, object, string?]>([
    ['a recipient of its own', { to: ['ann@local.test'] }, { accepted: ['ann@local.test'], rejected: [] }],
    ['one that it does not know', { to: ['bob@local.test'] }, { type: 'permanent', recipient: true }],
    ['one that it would have to relay to', { to: ['ann@else.test'] }, { type: 'operator', maybeOwn: true }],
    [
      'one of each',
      { to: ['ann@local.test', 'ann@else.test', 'bob@local.test'] },
      {
        accepted: ['ann@local.test'],
        rejected: [
          { address: 'ann@else.test', temporary: true },
          { address: 'bob@local.test', temporary: false },
        ],
      },
    ],
    [
      'a message that is too large',
      { to: ['ann@local.test'], text: 'x'.repeat(30_000) },
      { type: 'permanent' },
    ],
    ["a container's name in EHLO", { to: ['ann@local.test'] }, { type: 'operator' }, '8f3c2e'],
    ['an address in EHLO', { to: ['ann@local.test'] }, { accepted: ['ann@local.test'] }, '[192.0.2.1]'],
  ])('%s', async (_, asked, end, name) => {
    expect(await send(provider(name === undefined ? {} : { name }), asked)).toMatchObject(end);
  });

  test('more connections than it takes: transient, fewer of them, and then every mail goes out', async () => {
    const lines: object[] = [];
    const log = { warn: (facts: object) => void lines.push(facts) };
    const by = provider({ url: postfix.narrowUrl, connections: 4, log });
    const asked = { to: ['ann@local.test'] };
    for (let round = 0; round < 3; round++) {
      const ends = await Promise.all(Array.from({ length: 4 }, () => send(by, asked)));
      for (const end of ends) if (!('accepted' in end)) expect(end).toMatchObject({ type: 'transient' });
    }
    expect(lines).toEqual([
      { connections: 2, most: 4 },
      { connections: 1, most: 4 },
    ]);
    // It counts a connection a moment longer than it lasts; the one that is open now stays open.
    await until(async () => 'accepted' in (await send(by, asked)), { what: 'a connection' });
    expect(await Promise.all(Array.from({ length: 5 }, () => send(by, asked)))).toEqual(
      Array.from({ length: 5 }, () => expect.objectContaining({ accepted: ['ann@local.test'] }) as unknown),
    );
  });
});
