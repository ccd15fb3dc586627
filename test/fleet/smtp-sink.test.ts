// The provider smtp against Postfix's smtp-sink: acceptance, and each way of failing at each stage, as the table of decisions has it.

import { afterEach, describe, expect, test } from 'vitest';
import { failureOf } from '../../src/delivery/failure.ts';
import { createSmtpProvider } from '../../src/email/smtp/smtp.ts';
import { prepareEmail } from '../../src/email/email.ts';
import type { Receipt } from '../../src/email/provider.ts';
import type { Failure } from '../../src/message/outcome.ts';
import { hasSmtpSink, startSmtpSink, type SmtpSink } from '../support/smtp-sink.ts';

if (!hasSmtpSink) console.warn('SKIPPED: smtp-sink is not installed (apt-get install postfix)');

const open: { end(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.end();
});

async function sink(...options: string[]): Promise<SmtpSink> {
  const started = await startSmtpSink(...options);
  open.push(started);
  return started;
}

const email = prepareEmail(
  { from: 'shop@shop.test', to: ['ann@b.test', 'bob@c.test'], subject: 'Tea', html: '<p>Tea ☕</p>' },
  { defaultFrom: null },
);

async function send(url: string, leaseMs = 6_000): Promise<Receipt | Failure> {
  const provider = createSmtpProvider({ url, leaseMs });
  open.push({ end: async () => provider.close?.() });
  const about = {
    messageId: '<m@shop.test>',
    idempotencyKey: 'm',
    date: new Date('2026-01-01T00:00:00Z'),
    recipients: ['ann@b.test', 'bob@c.test'],
    signal: new AbortController().signal,
  };
  return provider.send(email, about).catch((error: unknown) => failureOf(error));
}

describe.skipIf(!hasSmtpSink)('smtp-sink', () => {
  test('accepts, and has every byte once', async () => {
    const server = await sink();
    expect(await send(server.url)).toMatchObject({ accepted: ['ann@b.test', 'bob@c.test'], rejected: [] });
    const [mail, ...more] = server.mails();
    expect(more).toEqual([]);
    expect(mail).toContain('Message-ID: <m@shop.test>');
    expect(mail).toContain('Subject: Tea');
  });

  test.each<[string, Failure['type'], string[], boolean?]>([
    ['4yz as the greeting', 'transient', ['-r', 'CONNECT']],
    ['5yz as the greeting', 'operator', ['-f', 'CONNECT']],
    ['4yz to EHLO and HELO', 'transient', ['-r', 'EHLO,HELO']],
    ['5yz to EHLO and HELO', 'operator', ['-f', 'EHLO,HELO']],
    ['421 to EHLO', 'operator', ['-Q', 'EHLO,HELO']],
    [
      'a used-up quota at the message',
      'operator',
      ['-f', '.', '-B', '550 5.4.5 Daily user sending limit exceeded'],
    ],
    ['no relaying', 'operator', ['-f', 'RCPT', '-B', '554 5.7.1 <b@c.test>: Relay access denied']],
    [
      'a connection too many at the message',
      'transient',
      ['-r', '.', '-b', '432 4.3.2 Concurrent connections limit exceeded'],
    ],
    ['a mailbox that is full', 'permanent', ['-f', 'RCPT', '-B', '552 5.2.2 over quota']],
    ['too many recipients', 'transient', ['-r', 'RCPT', '-b', '452 4.5.3 too many recipients']],
    ['4yz to MAIL', 'transient', ['-r', 'MAIL']],
    ['5yz to MAIL', 'permanent', ['-f', 'MAIL']],
    ['4yz to RCPT', 'transient', ['-r', 'RCPT']],
    ['5yz to RCPT', 'permanent', ['-f', 'RCPT']],
    ['4yz to DATA', 'transient', ['-r', 'DATA']],
    ['5yz to DATA', 'permanent', ['-f', 'DATA']],
    ['4yz to the message', 'transient', ['-r', '.']],
    ['5yz to the message', 'permanent', ['-f', '.']],
    ['421 to MAIL', 'transient', ['-Q', 'MAIL']],
    ['421 to RCPT', 'transient', ['-Q', 'RCPT']],
    ['421 to the message', 'transient', ['-Q', '.']],
    ['gone at MAIL', 'transient', ['-q', 'MAIL']],
    ['gone at RCPT', 'transient', ['-q', 'RCPT']],
    ['gone after the message', 'transient', ['-q', '.'], true],
    ['5yz in the middle of the message', 'permanent', ['-A', '1']],
  ])('%s: %s', async (_, type, options, ambiguous = false) => {
    const server = await sink(...options);
    const outcome = await send(server.url);
    expect(outcome).toMatchObject({ type });
    expect('ambiguous' in outcome && outcome.ambiguous === true).toBe(ambiguous);
  });

  test('a slow server is waited for, and one that is slower than the lease allows is left', async () => {
    const server = await sink('-w', '2');
    expect(await send(server.url, 12_000)).toMatchObject({ rejected: [] });
    expect(await send(server.url, 2_000)).toMatchObject({ type: 'transient' });
  });

  test('a wrong password is the operator’s matter', async () => {
    const server = await sink('-f', 'AUTH', '-B', '535 5.7.8 Error: authentication failed');
    expect(await send(server.url.replace('//', '//me:wrong@'))).toMatchObject({
      type: 'operator',
      message: expect.stringContaining('535'),
    });
  });

  test('a refused connection', async () => {
    const server = await sink();
    await open.pop()!.end();
    expect(await send(server.url)).toMatchObject({
      type: 'transient',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });
});
