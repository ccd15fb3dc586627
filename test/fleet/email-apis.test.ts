// The providers postmark, sendgrid, ses and mailgun against stand-ins of their APIs over real HTTP: what arrives, how each way of failing is
// judged, and that no key is shown.

import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { failureOf } from '../../src/delivery/failure.ts';
import { createProvider, type ProviderOptions } from '../../src/email/choose.ts';
import { prepareEmail, type EmailInput } from '../../src/email/email.ts';
import { isUntaken } from '../../src/email/certainty.ts';
import { EmailError } from '../../src/email/error.ts';
import type { EmailProvider } from '../../src/email/provider.ts';
import type { Failure } from '../../src/message/outcome.ts';
import type { Email } from 'postal-mime';
import { mailgun, mailgunError, startMailgun } from '../support/mailgun.ts';
import type { MailApi, MailApiOptions, Reply } from '../support/mail-api.ts';
import { otherCertificate } from '../support/other-certificate.ts';
import { postmarkError, postmarkToken, startPostmark } from '../support/postmark.ts';
import { sendgridErrors, sendgridKey, startSendgrid } from '../support/sendgrid.ts';
import { sesCredentials, sesError, startSes } from '../support/ses.ts';

const noDatabase = { executeSql: () => Promise.reject(new Error('these providers need no database')) };
const silent = { info: () => undefined, warn: () => undefined };
const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

const streams = { transactional: 'outbound', broadcast: 'broadcast' };

type Case = {
  readonly name: 'postmark' | 'sendgrid' | 'ses' | 'mailgun';
  start(options?: MailApiOptions): Promise<MailApi>;
  /** @param secret instead of the right key */
  settings(baseUrl: string, secret?: string): Partial<ProviderOptions>;
  readonly secret: string;
  readonly wrongKey: string;
  /** A refusal of one message, as the provider words it. */
  refusal(text: string): Reply;
};

const cases: readonly Case[] = [
  {
    name: 'postmark',
    start: startPostmark,
    secret: postmarkToken,
    wrongKey: 'HTTP 401 10',
    settings: (baseUrl, serverToken = postmarkToken) => ({ postmark: { serverToken, baseUrl, streams } }),
    refusal: (text) => postmarkError(300, text),
  },
  {
    name: 'sendgrid',
    start: startSendgrid,
    secret: sendgridKey,
    wrongKey: 'HTTP 401 The provided authorization grant is invalid',
    settings: (baseUrl, apiKey = sendgridKey) => ({ sendgrid: { apiKey, baseUrl } }),
    refusal: (text) => sendgridErrors(400, text),
  },
  {
    name: 'ses',
    start: startSes,
    secret: sesCredentials.secretAccessKey,
    wrongKey: 'HTTP 403 InvalidSignatureException',
    settings: (baseUrl, secretAccessKey = sesCredentials.secretAccessKey) => ({
      ses: { credentials: { ...sesCredentials, secretAccessKey }, baseUrl, configurationSet: null },
    }),
    refusal: (text) => sesError('BadRequestException', text),
  },
  {
    name: 'mailgun',
    start: startMailgun,
    secret: mailgun.apiKey,
    wrongKey: 'HTTP 401 Forbidden',
    settings: (baseUrl, apiKey = mailgun.apiKey) => ({
      mailgun: { apiKey, domain: mailgun.domain, baseUrl },
    }),
    refusal: (text) => mailgunError(400, text),
  },
];

function provider(
  { name, settings }: Case,
  baseUrl: string,
  { leaseMs = 60_000, secret }: { leaseMs?: number; secret?: string } = {},
): EmailProvider {
  const none = { smtpUrl: null, resendApiKey: null, resendBaseUrl: '', production: true };
  const options = { ...none, leaseMs, ...settings(baseUrl, secret) };
  const made = createProvider(name, options, { log: silent, db: noDatabase });
  open.push({ close: async () => made.close?.() });
  return made;
}

async function server({ start }: Case, options: MailApiOptions = {}): Promise<MailApi> {
  const api = await start(options);
  open.push(api);
  return api;
}

const key = '01900000-0000-7000-8000-000000000001';
const input: EmailInput = {
  from: 'Shop <shop@shop.test>',
  to: ['Ann <ann@b.test>', 'ben@b.test'],
  cc: 'carl@b.test',
  bcc: ['hidden@b.test', 'gone@b.test'],
  subject: 'Grüße',
  text: 'Hi',
  html: '<p>Tea</p>',
};

function send(
  to: EmailProvider,
  more: Partial<EmailInput> = {},
  without: readonly string[] = [],
  signal = new AbortController().signal,
) {
  const email = prepareEmail({ ...input, ...more }, { defaultFrom: null });
  const { to: first, cc = [], bcc = [] } = email;
  const recipients = [...first, ...cc, ...bcc].flatMap(({ address }) => (without.includes(address) ? [] : [address]));
  const date = new Date('2026-01-01T00:00:00Z');
  return to.send(email, { messageId: '<m1@shop.test>', idempotencyKey: key, date, recipients, signal });
} // prettier-ignore

async function failing(work: Promise<unknown>): Promise<{ error: EmailError; failure: Failure }> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof EmailError)) throw new Error(`no EmailError: ${String(error)}`);
  return { error, failure: failureOf(error) };
}

describe.each(cases)('$name', (one) => {
  test('accepted: exactly the recipients of the handover, with the id for reports', async () => {
    const api = await server(one);
    const to = provider(one, api.url);
    expect([to.name, to.idempotent, to.batch]).toEqual([one.name, false, undefined]);
    const receipt = await send(to, {}, ['ben@b.test', 'gone@b.test']);
    expect(receipt).toMatchObject({ accepted: ['ann@b.test', 'carl@b.test', 'hidden@b.test'], rejected: [] });
    expect(receipt.reference).toMatch(/^[\x21-\x7e]{10,}$/);
    expect(receipt.response).toContain(receipt.reference);
    expect(api.accepted).toMatchObject([
      { message: key, recipients: ['ann@b.test', 'carl@b.test', 'hidden@b.test'] },
    ]);
    if (one.name !== 'ses') expect(api.accepted[0]!.messageId).toBe('<m1@shop.test>');
  });

  test('a hundred recipients of bcc alone, of whom none sees another', async () => {
    const api = await server(one);
    const to = provider(one, api.url);
    const bcc = Array.from({ length: 99 }, (_, i) => `h${i}@b.test`);
    const {
      accepted,
      rejected,
      later = [],
    } = await send(to, { to: 'ann@b.test', cc: [], bcc }, ['ann@b.test']);
    expect([...accepted, ...later].toSorted()).toEqual(bcc.toSorted());
    expect(rejected).toEqual([]);
    const [{ recipients, parts }] = api.accepted as [MailApi['accepted'][number]];
    expect(recipients).toEqual(accepted);
    // Of the parts that recipients see, none has more than the first.
    const { to: heads, personalizations, To } = parts as Record<string, unknown>;
    expect(JSON.stringify([heads, personalizations, To]).match(/h\d+@b\.test/g)?.length ?? 0).toBeLessThan(2);
  });

  test.each<[title: string, say: Reply, type: Failure['type'], ambiguous: true | undefined]>([
    ['HTML of a gateway', { status: 502, body: '<html>' }, 'transient', true],
    ['an empty 503', { status: 503 }, 'transient', true],
    ['HTML that says 200', { status: 200, body: '<html>' }, 'transient', true],
    ['JSON without an id', { status: 200, body: { ok: true } }, 'transient', true],
    ['an answer without an end', { status: 200, body: `"${'x'.repeat(200_000)}` }, 'transient', true],
    ['an empty 429', { status: 429, headers: { 'retry-after': '7' } }, 'transient', undefined],
    ['a redirect', { status: 307, headers: { location: '/elsewhere' } }, 'operator', undefined],
    ['an unknown address', { status: 404 }, 'operator', undefined],
    ['JSON of another form', { status: 400, body: [7] }, 'transient', undefined],
    ['the page of a proxy', { status: 413, body: '<html>' }, 'transient', undefined],
  ])('%s: %#', async (_, say, type, ambiguous) => {
    const api = await server(one, { answer: () => ({ say }) });
    const { error, failure } = await failing(send(provider(one, api.url)));
    expect(error).toMatchObject({ provider: one.name, phase: 'answered', status: (say as { status: number }).status });
    expect([failure.type, failure.ambiguous]).toEqual([type, ambiguous]);
    expect(failure.message).not.toMatch(/html>|xxx/i);
  }); // prettier-ignore

  test.each<[title: string, say: Reply, phase: string]>([
    ['closed without an answer', 'drop', 'sent'],
    ['no answer within the lease', 'hang', 'sent'],
  ])('D: accepted, then %s: ambiguous', async (_, say, phase) => {
    const api = await server(one, { answer: () => ({ accept: true, say }) });
    const { error, failure } = await failing(send(provider(one, api.url, { leaseMs: 2_000 })));
    expect([error.phase, failure.type, failure.ambiguous]).toEqual([phase, 'transient', true]);
    expect(api.accepted).toHaveLength(1);
  });

  test('HTTP 407, which fetch hides, is named', async () => {
    const api = await server(one, { answer: () => ({ say: { status: 407 } }) });
    const { failure } = await failing(send(provider(one, api.url)));
    expect(failure).toMatchObject({ type: 'transient', message: expect.stringMatching(/HTTP 407: a proxy .* login/) });
  }); // prettier-ignore

  test('a wrong key, and texts that repeat a key or an address, are shown nowhere', async () => {
    const api = await server(one);
    const wrong = await failing(send(provider(one, api.url, { secret: 'geheim-geheim-geheim' })));
    expect(wrong.failure).toMatchObject({ type: 'operator', message: expect.stringContaining(one.wrongKey) });
    const say = one.refusal(`${one.secret} is no key, and bob.smith@b.test no address`);
    const echo = await server(one, { answer: () => ({ say }) });
    const { error, failure } = await failing(send(provider(one, echo.url)));
    expect(failure.type).toBe('permanent');
    expect(error.message).toContain('*** is no key, and b***@b.test no address');
    const shown = JSON.stringify([wrong, failure, error, error.message, wrong.error.message, error.cause]);
    for (const hidden of ['geheim', one.secret, 'bob.smith']) expect(shown).not.toContain(hidden);
  });

  test('a certificate that is not to be trusted is the operator’s matter', async () => {
    const api = await server(one, { tls: otherCertificate });
    const { error, failure } = await failing(send(provider(one, api.url)));
    expect(error).toMatchObject({ phase: 'connect', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    expect([failure.type, api.accepted]).toEqual(['operator', []]);
  });

  test('verify sends nothing, and finds a wrong key, an outage and another server', async () => {
    const signal = new AbortController().signal;
    const api = await server(one);
    await provider(one, api.url).verify!(signal);
    const wrong = await failing(provider(one, api.url, { secret: 'geheim' }).verify!(signal));
    expect(wrong.failure.type).toBe('operator');
    const away = await server(one, { verify: { status: 500 } });
    expect((await failing(provider(one, away.url).verify!(signal))).failure.type).toBe('transient');
    const page = await server(one, { verify: { status: 200, body: '<html>' } });
    expect((await failing(provider(one, page.url).verify!(signal))).error.code).toBe('EANSWER');
    expect([...api.accepted, ...away.accepted, ...page.accepted]).toEqual([]);
  });

  test('the end of the provider ends what is under way', async () => {
    const api = await server(one, { answer: () => ({ accept: true, say: 'hang' }) });
    const to = provider(one, api.url);
    const running = failing(send(to));
    await expect.poll(() => api.accepted.length).toBe(1);
    await to.close?.();
    expect((await running).error).toMatchObject({ phase: 'sent', code: 'EABORT' });
  });
});

describe.each(cases)('$name: no connection', (one) => {
  /** Takes connections, and never answers the TLS handshake. */
  async function silentHost(): Promise<{ readonly url: string; readonly reached: Promise<unknown> }> {
    const tcp = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const sockets = new Set<Socket>();
    tcp.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)));
    open.push({
      close: async () => {
        for (const socket of sockets) socket.destroy();
        await new Promise((done) => tcp.close(done));
      },
    });
    return {
      url: `https://127.0.0.1:${(tcp.address() as AddressInfo).port}`,
      reached: once(tcp, 'connection'),
    };
  }

  test('within the lease: the email was certainly not sent', async () => {
    const { url } = await silentHost();
    const { error, failure } = await failing(send(provider(one, url, { leaseMs: 500 })));
    expect(error).toMatchObject({ phase: 'connect', code: 'ETIMEDOUT' });
    expect(failure).toMatchObject({ type: 'transient' });
    expect([isUntaken(error), failure.ambiguous]).toEqual([true, undefined]);
  });

  test('when the delivery ends: the email was certainly not sent', async () => {
    const { url, reached } = await silentHost();
    const ending = new AbortController();
    const running = failing(send(provider(one, url), {}, [], ending.signal));
    await reached;
    ending.abort();
    expect((await running).error).toMatchObject({ phase: 'connect', code: 'EABORT' });
  });

  test('the delivery has ended before the request', async () => {
    const api = await server(one);
    const { error } = await failing(send(provider(one, api.url), {}, [], AbortSignal.abort()));
    expect(error).toMatchObject({ phase: 'connect', code: 'EABORT' });
    expect(api.accepted).toEqual([]);
  });
});

const [postmarkCase, sendgridCase, sesCase, mailgunCase] = cases as [Case, Case, Case, Case];

test('Postmark: inactive recipients among others are refused, and inactive ones alone are the recipient’s fault', async () => {
  const api = await startPostmark({ inactive: ['ben@b.test', 'gone@b.test'] });
  open.push(api);
  const to = provider(postmarkCase, api.url);
  const { accepted, rejected } = await send(to);
  expect(accepted).toEqual(['ann@b.test', 'carl@b.test', 'hidden@b.test']);
  expect(rejected.map(({ address, temporary }) => [address, temporary])).toEqual([
    ['ben@b.test', undefined],
    ['gone@b.test', undefined],
  ]);
  const alone = await failing(send(to, { to: 'ben@b.test', cc: [], bcc: [] }));
  expect(alone.failure).toMatchObject({ type: 'permanent', recipient: true });
});

test('Postmark: an inactive recipient of bcc is refused alone, and the next is still to be tried', async () => {
  const api = await startPostmark({ inactive: ['hidden@b.test'] });
  open.push(api);
  const receipt = await send(provider(postmarkCase, api.url), { to: 'ann@b.test', cc: [] }, ['ann@b.test']);
  expect(receipt).toMatchObject({
    accepted: [],
    rejected: [{ address: 'hidden@b.test', error: expect.stringContaining('406') }],
    later: ['gone@b.test'],
  });
  expect(api.accepted).toEqual([]);
});

test('Postmark: a stream that the server does not have parks the queue, unless other messages pass', async () => {
  const api = await server(postmarkCase);
  const settings = {
    serverToken: postmarkToken,
    baseUrl: api.url,
    streams: { ...streams, broadcast: 'news' },
  };
  const to = provider({ ...postmarkCase, settings: () => ({ postmark: settings }) }, api.url);
  const broadcast = { stream: 'broadcast', unsubscribeUrl: 'https://b.test/u' } as const;
  const { failure } = await failing(send(to, broadcast));
  expect(failure).toMatchObject({ type: 'operator', maybeOwn: true });
  await send(to);
});

test('SendGrid: a key that may not send is found by verify', async () => {
  const api = await server(sendgridCase, { verify: { status: 200, body: { scopes: ['alerts.read'] } } });
  const { failure } = await failing(provider(sendgridCase, api.url).verify!(AbortSignal.timeout(5_000)));
  expect(failure).toMatchObject({ type: 'operator', message: expect.stringContaining('mail.send') });
});

const calendar = { method: 'REQUEST', content: 'BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR' } as const;

test.each([sesCase, mailgunCase])('$name gets the same MIME on every attempt, with attachments and invitations', async (one) => {
  const api = await server(one);
  const to = provider(one, api.url);
  const attachments = [{ filename: 'Rechnung Nr. 7 – groß.pdf', content: 'AAAA', encoding: 'base64' }] as const;
  for (const _ of [1, 2]) await send(to, { attachments, calendar, headers: { 'X-Order': '7' } });
  const [first, second] = api.accepted.map(({ parts }) => parts as { source: string; mail: Email });
  expect(first!.source).toBe(second!.source);
  expect(first!.source).not.toMatch(/hidden@b\.test|^Bcc:/im);
  const { mail } = first!;
  expect([mail.subject, mail.messageId, mail.date]).toEqual(['Grüße', '<m1@shop.test>', '2026-01-01T00:00:00.000Z']);
  expect(mail.to?.map(({ address }) => address)).toEqual(['ann@b.test', 'ben@b.test']);
  expect(mail.attachments.map(({ filename }) => filename)).toContain('Rechnung Nr. 7 – groß.pdf');
  expect(first!.source).toMatch(/text\/calendar;[^\n]*method=REQUEST/i);
}); // prettier-ignore

test('SES: more than fifty recipients are two emails', async () => {
  const api = await server(sesCase);
  const to = Array.from({ length: 60 }, (_, i) => `a${i}@b.test`);
  const { accepted, later } = await send(provider(sesCase, api.url), { to, cc: [], bcc: [] });
  expect([accepted.length, later?.length]).toEqual([50, 10]);
  expect(api.accepted[0]!.recipients).toEqual(to.slice(0, 50));
});

test('SES: temporary credentials, a configuration set, a key that may only send, and an account that may not', async () => {
  const signal = AbortSignal.timeout(20_000);
  const api = await startSes({ sessionToken: 'session', configurationSets: ['events'] });
  open.push(api);
  const ses = (over: object) => {
    const credentials = { ...sesCredentials, sessionToken: 'session' };
    const settings = { credentials, baseUrl: api.url, configurationSet: 'events', ...over };
    return provider({ ...sesCase, settings: () => ({ ses: settings }) }, api.url);
  };
  await send(ses({}));
  expect((await failing(send(ses({ configurationSet: 'nothing' })))).failure.type).toBe('operator');
  expect((await failing(send(ses({ credentials: sesCredentials })))).failure.type).toBe('operator');
  const denied = sesError('AccessDeniedException', 'is not authorized to perform: ses:GetAccount', 403);
  const sending = await server(sesCase, { verify: denied });
  await provider(sesCase, sending.url).verify!(signal);
  const paused = await server(sesCase, { verify: { status: 200, body: { SendingEnabled: false } } });
  expect((await failing(provider(sesCase, paused.url).verify!(signal))).failure.type).toBe('operator');
});

test('Mailgun: a domain that it does not know is the operator’s matter', async () => {
  const api = await server(mailgunCase);
  const settings = { apiKey: mailgun.apiKey, domain: 'other.test', baseUrl: api.url };
  const to = provider({ ...mailgunCase, settings: () => ({ mailgun: settings }) }, api.url);
  const { failure } = await failing(send(to));
  expect(failure).toMatchObject({ type: 'operator', message: expect.stringContaining('Domain not found') });
  expect((await failing(to.verify!(AbortSignal.timeout(5_000)))).failure.type).toBe('operator');
});

test.each(cases)('$name without its settings does not start', ({ name }) => {
  const options = { smtpUrl: null, resendApiKey: null, resendBaseUrl: '', leaseMs: 1_000, production: true };
  expect(() => createProvider(name, options, { log: silent, db: noDatabase })).toThrow(
    expect.objectContaining({ code: 'email_key_required' }) as Error,
  );
}); // prettier-ignore
