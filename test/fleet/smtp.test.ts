// The provider smtp against a real server: what arrives, and how each way of failing is judged.

import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { failureOf } from '../../src/delivery/failure.ts';
import { createProvider } from '../../src/email/choose.ts';
import { prepareEmail, type EmailInput, type EmailPayload } from '../../src/email/email.ts';
import type { EmailProvider, Handover } from '../../src/email/provider.ts';
import type { Failure } from '../../src/message/outcome.ts';
import { startSmtp, type Answer, type Reply, type SmtpServer, type Stage } from '../support/smtp.ts';

const resend = { resendApiKey: null, resendBaseUrl: '' };
const silent = { info: () => undefined, warn: () => undefined };
const noDatabase = { executeSql: () => Promise.reject(new Error('the provider smtp needs no database')) };
const toClose: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of toClose.splice(0).toReversed()) await one.close();
});

async function server(options: Parameters<typeof startSmtp>[0] = {}): Promise<SmtpServer> {
  const smtp = await startSmtp(options);
  toClose.push(smtp);
  return smtp;
}

function provider(smtpUrl: string, leaseMs = 6_000): EmailProvider {
  const made = createProvider(
    'smtp',
    { ...resend, smtpUrl, leaseMs, production: true },
    { log: silent, db: noDatabase },
  );
  toClose.push({ close: async () => made.close?.() });
  return made;
}

const input: EmailInput = { from: 'Shop <shop@shop.test>', to: 'ann@b.test', subject: 'Hello', text: 'Hi' };
const about = (email: EmailPayload, signal = new AbortController().signal): Handover => ({
  messageId: '<m1@shop.test>',
  idempotencyKey: '01900000-0000-7000-8000-000000000001',
  date: new Date('2026-01-01T00:00:00Z'),
  recipients: [...email.to, ...(email.cc ?? []), ...(email.bcc ?? [])].map(({ address }) => address),
  signal,
});

function send(to: EmailProvider, email: Partial<EmailInput> = {}, signal?: AbortSignal) {
  const prepared = prepareEmail({ ...input, ...email }, { defaultFrom: null });
  return to.send(prepared, about(prepared, signal));
}

async function failing(
  to: EmailProvider,
  email: Partial<EmailInput> = {},
  signal?: AbortSignal,
): Promise<Failure> {
  const outcome = await send(to, email, signal).catch((error: unknown) => failureOf(error));
  if ('accepted' in outcome) throw new Error('it was accepted');
  return outcome;
}

const at =
  (stage: Stage, reply: Reply): Answer =>
  (where) =>
    where === stage ? reply : undefined;

describe('accepted', () => {
  test('every part arrives', async () => {
    const smtp = await server();
    const receipt = await send(provider(smtp.url), {
      to: ['Ann <ann@b.test>', { name: 'Jürgen "J", Jr', address: 'j@mäger.ee' }],
      cc: 'carl@b.test',
      bcc: 'hidden@b.test',
      replyTo: 'reply@shop.test',
      subject: 'Grüße: 茶 for you',
      html: '<p>Tea ☕</p>',
      text: 'Tea ☕\n.\n..dots',
      headers: { 'X-Order': '7' },
      attachments: [
        { filename: 'hé.txt', content: 'aGVsbG8=', encoding: 'base64', contentType: 'text/plain' },
      ],
    });
    expect(receipt.accepted).toEqual(['ann@b.test', 'j@xn--mger-loa.ee', 'carl@b.test', 'hidden@b.test']);
    expect(receipt.rejected).toEqual([]);
    const [mail] = smtp.mails;
    // smtp-server shows A-labels decoded; what went over the wire is in the receipt.
    expect(mail!.envelope).toEqual({
      from: 'shop@shop.test',
      to: ['ann@b.test', 'j@mäger.ee', 'carl@b.test', 'hidden@b.test'],
    });
    expect(mail!.messageId).toBe('<m1@shop.test>');
    expect(mail!.headerLines.join('\n')).not.toContain('hidden@');
    expect(mail!.headerLines).toContain('X-Order: 7');
    const { parsed } = mail!;
    expect(parsed.from).toMatchObject({ name: 'Shop', address: 'shop@shop.test' });
    expect(parsed.to).toMatchObject([
      { name: 'Ann', address: 'ann@b.test' },
      { name: 'Jürgen "J", Jr', address: expect.stringContaining('j@') },
    ]);
    expect(parsed.cc).toMatchObject([{ address: 'carl@b.test' }]);
    expect(parsed.replyTo).toMatchObject([{ address: 'reply@shop.test' }]);
    expect(parsed.subject).toBe('Grüße: 茶 for you');
    expect(parsed.html?.trim()).toBe('<p>Tea ☕</p>');
    expect(parsed.text?.trim()).toBe('Tea ☕\n.\n..dots');
    expect(parsed.attachments).toHaveLength(1);
    expect(parsed.attachments[0]).toMatchObject({ filename: 'hé.txt', mimeType: 'text/plain' });
    expect(Buffer.from(parsed.attachments[0]!.content as ArrayBuffer).toString()).toBe('hello');
  });

  test('many at once, over few connections, and a refused one spoils no other', async () => {
    const smtp = await server({
      answer: (stage, who) => (stage === 'rcpt' && who.startsWith('bad') ? 550 : undefined),
    });
    const to = provider(smtp.url);
    const results = await Promise.allSettled(
      Array.from({ length: 60 }, (_, i) => send(to, { to: `${i % 10 === 0 ? 'bad' : 'ok'}${i}@b.test` })),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(54);
    expect(smtp.mails).toHaveLength(54);
  });

  test('D: every attempt sends the same bytes', async () => {
    const smtp = await server();
    const email = {
      html: '<p>Tea</p>',
      attachments: [{ filename: 'a.txt', content: 'a' }],
      unsubscribeUrl: 'https://b.test/u',
    };
    await send(provider(smtp.url), email);
    await send(provider(smtp.url), email);
    const [first, second] = smtp.mails;
    expect(second!.source).toBe(first!.source);
    expect(first!.headerLines).toContain('Date: Thu, 01 Jan 2026 00:00:00 +0000');
    expect(first!.headerLines).toContain('List-Unsubscribe: <https://b.test/u>');
    expect(first!.headerLines).toContain('List-Unsubscribe-Post: List-Unsubscribe=One-Click');
    expect(first!.parsed.text?.trim()).toBe('Hi');
  });

  test('it goes to those of the handover alone, whatever the fields show', async () => {
    const smtp = await server();
    const email = prepareEmail({ ...input, to: ['ann@b.test', 'bob@b.test'] }, { defaultFrom: null });
    await provider(smtp.url).send(email, { ...about(email), recipients: ['bob@b.test'] });
    expect(smtp.mails[0]!.envelope.to).toEqual(['bob@b.test']);
    expect(smtp.mails[0]!.parsed.to?.map(({ address }) => address)).toEqual(['ann@b.test', 'bob@b.test']);
  });

  test('one of two recipients is refused: the other has it, and the receipt says so', async () => {
    const smtp = await server({
      answer: (stage, who) => (stage === 'rcpt' && who === 'bo@b.test' ? 550 : undefined),
    });
    const receipt = await send(provider(smtp.url), { to: ['ann@b.test', 'bo@b.test'] });
    expect(receipt).toMatchObject({
      accepted: ['ann@b.test'],
      rejected: [{ address: 'bo@b.test', error: expect.stringContaining('550') }],
    });
    expect(smtp.mails.map(({ envelope }) => envelope.to)).toEqual([['ann@b.test']]);
  });

  test('a login', async () => {
    const smtp = await server({ auth: { user: 'me@shop.test', pass: 'p:a/s@s%' } });
    await send(provider(smtp.url));
    expect(smtp.mails).toHaveLength(1);
  });
});

describe('connections', () => {
  test('no more than there may be, and fewer after the server said that they are too many', async () => {
    let [open, most, refused] = [0, 0, 0];
    const arrived = Promise.withResolvers<void>();
    const smtp = await server({
      answer: async (stage) => {
        if (stage !== 'data') return undefined;
        open += 1;
        most = Math.max(most, open);
        if (open > 2) arrived.resolve();
        if (refused === 0) await arrived.promise;
        await new Promise((done) => setImmediate(done));
        const over = open > 2;
        open -= 1;
        if (over) refused += 1;
        return over ? { code: 432, text: '4.3.2 Concurrent connections limit exceeded.' } : undefined;
      },
    });
    const lines: object[] = [];
    const made = createProvider(
      'smtp',
      {
        ...resend,
        smtpUrl: smtp.url,
        smtpConnections: 4,
        leaseMs: 60_000,
        production: true,
      },
      { log: { ...silent, warn: (facts) => void lines.push(facts) }, db: noDatabase },
    );
    toClose.push({ close: async () => made.close?.() });
    const first = await Promise.allSettled(Array.from({ length: 4 }, () => send(made)));
    expect(most).toBeGreaterThan(2);
    expect(most).toBeLessThanOrEqual(4);
    const losses = first.filter(({ status }) => status === 'rejected');
    for (const loss of losses)
      expect(failureOf((loss as PromiseRejectedResult).reason)).toMatchObject({ type: 'transient' });
    expect(lines).toEqual([{ connections: 2, most: 4 }]);
    [most, refused] = [0, 1];
    await Promise.all(Array.from({ length: 20 }, () => send(made)));
    expect(most).toBeLessThanOrEqual(2);
    expect(smtp.mails).toHaveLength(24 - losses.length);
  });
});

describe('refused by the server', () => {
  test.each<[Stage, number, Failure['type']]>([
    ['connect', 421, 'transient'],
    ['connect', 554, 'operator'],
    ['mail', 451, 'transient'],
    ['mail', 550, 'permanent'],
    ['mail', 530, 'operator'],
    ['rcpt', 450, 'transient'],
    ['rcpt', 550, 'permanent'],
    ['data', 452, 'transient'],
    ['data', 554, 'permanent'],
    ['data', 421, 'transient'],
  ])('at %s with %i: %s', async (stage, code, type) => {
    const smtp = await server({ answer: at(stage, code) });
    const failure = await failing(provider(smtp.url));
    expect(failure).toMatchObject({ type, message: expect.stringContaining(String(code)) });
    expect(failure.ambiguous).toBeUndefined();
    expect(smtp.mails).toEqual([]);
  });

  test('a wrong password', async () => {
    const smtp = await server({ auth: { user: 'me', pass: 'right' } });
    const failure = await failing(provider(smtp.url.replace('right', 'wrong')));
    expect(failure).toMatchObject({ type: 'operator', message: expect.stringContaining('535') });
    expect(failure.message).not.toContain('wrong');
  });

  test('of two recipients one for now and one for good: to be tried again', async () => {
    const smtp = await server({
      answer: (stage, who) => (stage === 'rcpt' ? (who === 'ann@b.test' ? 450 : 550) : undefined),
    });
    expect(await failing(provider(smtp.url), { to: ['ann@b.test', 'bo@b.test'] })).toMatchObject({
      type: 'transient',
    });
  });

  test.each<[Stage, number, string, Failure['type']]>([
    ['data', 550, '5.4.5 Daily user sending limit exceeded.', 'operator'],
    ['data', 554, '5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException', 'operator'],
    ['rcpt', 554, '5.7.1 <ann@b.test>: Relay access denied', 'operator'],
    ['rcpt', 452, '4.5.3 Error: too many recipients', 'transient'],
    ['data', 432, '4.3.2 Concurrent connections limit exceeded.', 'transient'],
    ['rcpt', 504, '5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname', 'operator'],
    ['data', 550, '5.7.60 SMTP; Client does not have permissions to send as this sender', 'permanent'],
  ])('at %s with %i %s: %s', async (stage, code, text, type) => {
    const smtp = await server({ answer: at(stage, { code, text }) });
    expect((await failing(provider(smtp.url))).type).toBe(type);
  });

  test('of two recipients one unknown and one that is not relayed: about us, and the other way round too', async () => {
    for (const unknown of ['ann@b.test', 'bo@b.test']) {
      const refusal = (who: string) =>
        who === unknown
          ? { code: 550, text: '5.1.1 unknown' }
          : { code: 554, text: '5.7.1 Relay access denied' };
      const smtp = await server({ answer: (stage, who) => (stage === 'rcpt' ? refusal(who) : undefined) });
      expect(await failing(provider(smtp.url), { to: ['ann@b.test', 'bo@b.test'] })).toMatchObject({
        type: 'operator',
        message: expect.stringContaining('Relay access denied'),
      });
    }
  });

  test('a recipient that is not relayed while another is taken is tried again alone', async () => {
    const smtp = await server({
      answer: (stage, who) =>
        stage === 'rcpt' && who === 'bo@b.test'
          ? { code: 554, text: '5.7.1 Relay access denied' }
          : undefined,
    });
    const receipt = await send(provider(smtp.url), { to: ['ann@b.test', 'bo@b.test'] });
    expect(receipt.rejected).toMatchObject([{ address: 'bo@b.test', temporary: true }]);
  });

  test('the text of the server does not bring a whole address into the failure', async () => {
    const smtp = await server({ answer: at('rcpt', 550) });
    expect((await failing(provider(smtp.url))).message).not.toContain('ann@b.test');
  });
});

describe('lost', () => {
  test('after the message: ambiguous', async () => {
    const smtp = await server({ answer: at('data', 'drop') });
    expect(await failing(provider(smtp.url))).toMatchObject({ type: 'transient', ambiguous: true });
  });

  test('no reply after the message: ambiguous, before the lease runs out', async () => {
    const smtp = await server({ answer: at('data', 'hang') });
    const start = performance.now();
    expect(await failing(provider(smtp.url, 1_500))).toMatchObject({ type: 'transient', ambiguous: true });
    expect(performance.now() - start).toBeLessThan(1_500);
  });

  test.each<Stage>(['connect', 'mail', 'rcpt'])('at %s: not ambiguous', async (stage) => {
    const smtp = await server({ answer: at(stage, 'drop') });
    const failure = await failing(provider(smtp.url));
    expect(failure.type).toBe('transient');
    expect(failure.ambiguous).toBeUndefined();
  });

  test('a server that takes half a lease to answer has not lost the message', async () => {
    const smtp = await server({
      answer: async (stage) => {
        if (stage === 'data') await new Promise((done) => setTimeout(done, 1_500));
        return undefined;
      },
    });
    await send(provider(smtp.url, 3_000));
    expect(smtp.mails).toHaveLength(1);
  });

  test('no greeting: before the lease runs out', async () => {
    const smtp = await server({ answer: at('connect', 'hang') });
    const start = performance.now();
    expect(await failing(provider(smtp.url, 1_500))).toEqual({
      type: 'transient',
      message: expect.any(String),
    });
    expect(performance.now() - start).toBeLessThan(1_500);
  });

  test('a refused connection', async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    expect(await failing(provider(`smtp://127.0.0.1:${port}`))).toEqual({
      type: 'transient',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('a password is not given to a server without encryption, unless it is this machine', async () => {
    const smtp = await server({ auth: { user: 'me', pass: 'right' } });
    const mapped = smtp.url.replace('127.0.0.1', '[::ffff:127.0.0.1]'); // not taken for this machine
    expect(await failing(provider(mapped))).toMatchObject({
      type: 'operator',
      message: expect.stringContaining('STARTTLS'),
    });
    expect(smtp.mails).toEqual([]);
  });
});

describe('ended by us', () => {
  test('an abort ends the send at once', async () => {
    const smtp = await server({ answer: at('rcpt', 'hang') });
    const failure = await failing(provider(smtp.url, 60_000), {}, AbortSignal.timeout(200));
    expect(failure.type).toBe('transient');
    expect(failure.ambiguous).toBeUndefined();
  });

  test('an abort after the message is ambiguous, and the others go on', async () => {
    const arrived = Promise.withResolvers<void>();
    let first = true;
    const smtp = await server({
      answer: (stage) => {
        if (stage !== 'data' || !first) return undefined;
        first = false;
        arrived.resolve();
        return 'hang';
      },
    });
    const to = provider(smtp.url, 60_000);
    const ending = new AbortController();
    const ended = failing(to, {}, ending.signal);
    await arrived.promise;
    const other = send(to);
    ending.abort();
    expect(await ended).toMatchObject({ type: 'transient', ambiguous: true });
    await other;
    expect(smtp.mails).toHaveLength(1);
  });

  test('an abort ends verify alone: later sends and a later verify pass', async () => {
    const arrived = Promise.withResolvers<void>();
    let slow = true;
    const smtp = await server({
      answer: (stage) => {
        if (stage !== 'connect' || !slow) return undefined;
        arrived.resolve();
        return 'hang';
      },
    });
    const to = provider(smtp.url, 60_000);
    const ending = new AbortController();
    const verified = to.verify!(ending.signal).catch((error: unknown) => failureOf(error));
    await arrived.promise;
    ending.abort();
    expect(await verified).toMatchObject({ type: 'transient', message: expect.stringContaining('ended') });
    slow = false;
    await send(to);
    await to.verify!(new AbortController().signal);
    expect(smtp.mails).toHaveLength(1);
  });

  test('close ends what runs', async () => {
    const smtp = await server({ answer: at('mail', 'hang') });
    const to = provider(smtp.url, 60_000);
    const running = failing(to);
    await new Promise((done) => setTimeout(done, 200));
    await to.close?.();
    expect(await running).toMatchObject({ type: 'transient' });
  });
});

describe('nothing gets past the check', () => {
  test.each([
    ['a name', { to: { name: 'Ann\r\nBcc: evil@z.test', address: 'ann@b.test' } }],
    ['a subject', { subject: 'Hi\r\nBcc: evil@z.test' }],
    ['an address', { to: 'ann@b.test\r\nBcc: evil@z.test' }],
    ['a header', { headers: { 'X-A': '1\r\nBcc: evil@z.test' } }],
  ])('CRLF in %s is refused', (_, email) => {
    expect(() => prepareEmail({ ...input, ...email }, { defaultFrom: null })).toThrow(
      expect.objectContaining({ code: 'control_character' }),
    );
  });

  test('a name full of syntax stays a name, and goes to one person', async () => {
    const smtp = await server();
    const name = 'evil@z.test>, <other@z.test> (x) grp: a; =?utf-8?q?=0D=0ABcc:_evil=40z.test?=';
    await send(provider(smtp.url), {
      to: { name, address: 'ann@b.test' },
      subject: '=?utf-8?q?=0D=0ABcc:_evil=40z.test?=',
    });
    const [mail] = smtp.mails;
    expect(mail!.envelope.to).toEqual(['ann@b.test']);
    expect(mail!.headerLines.filter((line) => /^bcc:/i.test(line))).toEqual([]);
    expect(mail!.parsed.to).toHaveLength(1);
    expect(mail!.parsed.to![0]).toMatchObject({ address: 'ann@b.test' });
  });

  test('a password with a bare % is told, not thrown as it comes', () => {
    expect(() => provider('smtp://me:100%@mail.test')).toThrow(
      expect.objectContaining({ code: 'smtp_url_invalid' }),
    );
  });

  test('parameters of SMTP_URL cannot switch the verification off', () => {
    expect(() => provider('smtp://mail.test/?tls.rejectUnauthorized=false')).toThrow(
      expect.objectContaining({ code: 'smtp_url_invalid' }),
    );
  });
});
