// The provider resend against a stand-in of its API: what arrives, how each way of failing is judged, and that nothing is sent twice.

import { createServer } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { failureOf } from '../../src/delivery/failure.ts';
import { createProvider } from '../../src/email/choose.ts';
import { prepareEmail, type EmailInput } from '../../src/email/email.ts';
import { EmailError } from '../../src/email/error.ts';
import type { EmailProvider, Receipt } from '../../src/email/provider.ts';
import type { Failure } from '../../src/message/outcome.ts';
import { otherCertificate } from '../support/other-certificate.ts';
import type { Deviation, Reply } from '../support/mail-api.ts';
import { problem, startResend, type ResendServer } from '../support/resend.ts';

const noDatabase = { executeSql: () => Promise.reject(new Error('the provider resend needs no database')) };
const silent = { info: () => undefined, warn: () => undefined };
const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

async function server(options: Parameters<typeof startResend>[0] = {}): Promise<ResendServer> {
  const resend = await startResend(options);
  open.push(resend);
  return resend;
}

function provider(resendBaseUrl: string, { leaseMs = 60_000, resendApiKey = 're_test' } = {}): EmailProvider {
  const options = { smtpUrl: null, production: true } as const;
  const made = createProvider(
    'resend',
    { ...options, resendApiKey, resendBaseUrl, leaseMs },
    { log: silent, db: noDatabase },
  );
  open.push({ close: async () => made.close?.() });
  return made;
}

const input: EmailInput = { from: 'Shop <shop@shop.test>', to: 'ann@b.test', subject: 'Hello', text: 'Hi' };
const key = '01900000-0000-7000-8000-000000000001';

type Sending = { readonly email?: Partial<EmailInput>; readonly signal?: AbortSignal };

function send(to: EmailProvider, { email, signal = new AbortController().signal }: Sending = {}) {
  const prepared = prepareEmail({ ...input, ...email }, { defaultFrom: null });
  const recipients = [...prepared.to, ...(prepared.bcc ?? [])].map(({ address }) => address);
  const date = new Date('2026-01-01T00:00:00Z');
  return to.send(prepared, { messageId: '<m1@shop.test>', idempotencyKey: key, date, recipients, signal });
}

type Failed = { readonly error: EmailError; readonly failure: Failure };

async function failing(work: Promise<unknown>): Promise<Failed> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof EmailError)) throw new Error(`no EmailError: ${String(error)}`);
  return { error, failure: failureOf(error) };
}

/** The first request meets the deviation, the others do not. */
function once(deviation: Deviation): () => Deviation | undefined {
  let met = false;
  return () => {
    if (met) return undefined;
    met = true;
    return deviation;
  };
}

describe('accepted', () => {
  test('the receipt has the id, by which later reports find the message', async () => {
    const resend = await server();
    const receipt = await send(provider(resend.url));
    const [one] = resend.accepted;
    expect(receipt).toEqual({
      accepted: ['ann@b.test'],
      rejected: [],
      response: `HTTP 200 ${one!.id}`,
      reference: one!.id,
    } satisfies Receipt);
    expect(one).toMatchObject({
      key,
      email: {
        to: ['ann@b.test'],
        headers: { 'Message-ID': '<m1@shop.test>' },
        tags: [{ name: 'waybill_message', value: key }],
      },
    });
  });

  test('who cannot be in the same request is to get a mail of his own', async () => {
    const resend = await server();
    const to = Array.from({ length: 51 }, (_, i) => `a${i}@b.test`);
    const { accepted, later } = await send(provider(resend.url), { email: { to } });
    expect(accepted).toEqual(to.slice(0, 50));
    expect(later).toEqual(['a50@b.test']);
  });

  test('a base URL may have a path', async () => {
    const resend = await server();
    const { error } = await failing(send(provider(`${resend.url}/proxy`)));
    expect(error).toMatchObject({ status: 404, code: 'not_found' });
  });
});

describe('an answer that is no acceptance', () => {
  const html = '<html><body>Bad Gateway</body></html>';

  test.each<[title: string, say: Reply, type: Failure['type'], more: Partial<Failure>]>([
    ['a validation error', problem(422, 'validation_error'), 'permanent', {}],
    ['a bad request', problem(400, 'validation_error'), 'permanent', {}],
    ['an unverified domain', problem(403, 'validation_error'), 'permanent', {}],
    ['a deleted key', problem(400, 'validation_error', 'API key is invalid'), 'operator', {}],
    ['a key of another account', problem(403, 'invalid_api_key'), 'operator', {}],
    ['a 403 that nobody knows', problem(403, 'forbidden'), 'operator', { maybeOwn: true }],
    ['a used up daily quota', problem(429, 'daily_quota_exceeded'), 'operator', {}],
    ['a used up monthly quota', problem(429, 'monthly_quota_exceeded'), 'operator', {}],
    ['a rate limit', problem(429, 'rate_limit_exceeded'), 'transient', { holdsQueue: true }],
    ['an error of the server', problem(500, 'internal_server_error'), 'transient', {}],
    ['HTML of a gateway', { status: 502, body: html }, 'transient', {}],
    ['HTML that says 200', { status: 200, body: html }, 'transient', {}],
    ['JSON without an id', { status: 200, body: { ok: true } }, 'transient', {}],
    ['an answer without an end', { status: 200, body: `"${'x'.repeat(200_000)}` }, 'transient', {}],
    ['nothing', { status: 503 }, 'transient', {}],
    ['JSON of another form', { status: 400, body: { name: 7, message: null } }, 'transient', {}],
    ['a list', { status: 400, body: [] }, 'transient', {}],
  ])('%s: %#', async (_, say, type, more) => {
    const resend = await server({ answer: () => ({ say }) });
    const { error, failure } = await failing(send(provider(resend.url)));
    const status = (say as { readonly status: number }).status;
    expect(error).toMatchObject({ provider: 'resend', phase: 'answered', status });
    const { ambiguous = false, ...known } = failure; // which a provider with keys does not count
    expect(known).toEqual({ type, message: expect.stringContaining(`HTTP ${status}`) as string, ...more });
    expect(ambiguous).toBe(status === 200 || status >= 500);
    expect(failure.message).not.toMatch(/html|xxx/i);
    if (status === 200) expect(error.code).toBe('EANSWER');
  });

  test.each<[value: string, ms: number | undefined]>([
    ['7', 7_000],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 00:00:30 GMT', 0],
    ['soon', undefined],
    ['-1', undefined],
  ])('Retry-After: %s', async (value, ms) => {
    const headers = { 'retry-after': value, date: 'Thu, 01 Jan 2026 00:00:00 GMT' };
    const say = { status: 429, headers, body: { name: 'rate_limit_exceeded', message: 'too many' } };
    const resend = await server({ answer: () => ({ say }) });
    const { failure } = await failing(send(provider(resend.url)));
    expect(failure).toMatchObject({ type: 'transient', holdsQueue: true });
    expect(failure.retryAfter).toBe(ms);
  });

  test('a wrong key, which is shown nowhere, whatever is answered', async () => {
    const resend = await server();
    const { failure } = await failing(send(provider(resend.url, { resendApiKey: 're_geheim' })));
    expect(failure).toMatchObject({ type: 'operator', message: expect.stringContaining('invalid_api_key') });
    const say = problem(422, 'validation_error', 'Bearer re_test is no key, and bob.smith@b.test no address');
    const echo = await server({ answer: () => ({ say }) });
    const { error } = await failing(send(provider(echo.url)));
    expect(error.message).toContain('b***@b.test');
    expect(JSON.stringify([failure, error, error.message, String(error.cause)])).not.toMatch(
      /geheim|re_test|bob\.smith/,
    );
  });

  test('a redirect is not followed: the key goes nowhere else', async () => {
    const elsewhere = await server();
    const say = { status: 307, headers: { location: `${elsewhere.url}/emails` } };
    const resend = await server({ answer: () => ({ say }) });
    const { failure } = await failing(send(provider(resend.url)));
    expect(failure.type).toBe('operator');
    expect(elsewhere.accepted).toEqual([]);
  });
});

describe('D: a repeated attempt sends nothing twice', () => {
  test.each<[title: string, deviation: Deviation, phase: string]>([
    ['accepted, then an error', { accept: true, say: { status: 500 } }, 'answered'],
    ['accepted, then HTML', { accept: true, say: { status: 200, body: '<p>' } }, 'answered'],
    ['accepted, then closed without an answer', { accept: true, say: 'drop' }, 'sent'],
    ['closed without an answer', { say: 'drop' }, 'sent'],
    ['accepted, then no answer', { accept: true, say: 'hang' }, 'sent'],
  ])('%s', async (_, deviation, phase) => {
    const resend = await server({ answer: once(deviation) });
    const to = provider(resend.url, { leaseMs: 4_000 });
    const { error, failure } = await failing(send(to));
    expect([error.phase, failure.type]).toEqual([phase, 'transient']);
    const { reference } = await send(provider(resend.url));
    expect(resend.accepted).toHaveLength(1);
    expect(resend.accepted[0]!.id).toBe(reference);
    expect(resend.repeats()).toBe(deviation.accept ? 1 : 0);
  });

  test('while the first is under way: to be tried again', async () => {
    let finish = (): void => undefined;
    let begun = (): void => undefined;
    const under = new Promise<void>((resolve) => (begun = resolve));
    const resend = await server({
      answer: () =>
        new Promise((resolve) => {
          finish = () => resolve(undefined);
          begun();
        }),
    });
    const to = provider(resend.url);
    const first = send(to);
    await under;
    const { error, failure } = await failing(send(to));
    expect([error.code, failure.type]).toEqual(['concurrent_idempotent_requests', 'transient']);
    finish();
    await first;
    expect(resend.accepted).toHaveLength(1);
  });

  test('with other contents: permanent', async () => {
    const resend = await server();
    const to = provider(resend.url);
    await send(to);
    const { error, failure } = await failing(send(to, { email: { subject: 'Another' } }));
    expect([error.code, failure.type]).toEqual(['invalid_idempotent_request', 'permanent']);
  });
});

describe('no answer', () => {
  test('before the lease runs out', async () => {
    const resend = await server({ answer: () => ({ say: 'hang' }) });
    const start = performance.now();
    const { error } = await failing(send(provider(resend.url, { leaseMs: 3_000 })));
    expect(error).toMatchObject({ phase: 'sent', code: 'ETIMEDOUT' });
    expect(performance.now() - start).toBeLessThan(3_000);
  });

  test('an abort, and the end of the provider, end it at once', async () => {
    const reached = Promise.withResolvers<void>();
    const resend = await server({ answer: () => ({ say: 'hang' }) });
    const later = await server({
      answer: () => {
        reached.resolve();
        return { say: 'hang' };
      },
    });
    const aborted = await failing(send(provider(resend.url), { signal: AbortSignal.timeout(50) }));
    expect(aborted.failure.type).toBe('transient');
    const to = provider(later.url);
    const running = failing(send(to));
    await reached.promise;
    await to.close?.();
    expect((await running).error).toMatchObject({ phase: 'sent', code: 'EABORT' });
  });

  test('a refused connection', async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    const { error, failure } = await failing(send(provider(`http://127.0.0.1:${port}`)));
    expect(error).toMatchObject({ phase: 'connect', code: 'ECONNREFUSED' });
    expect(failure.type).toBe('transient');
  });

  test('a host that does not exist', async () => {
    const { error, failure } = await failing(send(provider('https://nowhere.invalid')));
    expect(error.phase).toBe('connect');
    // A machine without a name server cannot know: that is no operator's mistake.
    expect([error.code, failure.type]).toEqual(
      error.code === 'EAI_AGAIN' ? ['EAI_AGAIN', 'transient'] : ['ENOTFOUND', 'operator'],
    );
  });

  test('something that is no HTTP', async () => {
    const other = createServer((socket) => socket.resume().end('220 mail.test ESMTP\r\n')).listen(
      0,
      '127.0.0.1',
    );
    await new Promise((resolve) => other.once('listening', resolve));
    open.push({ close: () => new Promise((resolve) => other.close(() => resolve())) });
    const { port } = other.address() as { port: number };
    const { failure } = await failing(send(provider(`http://127.0.0.1:${port}`)));
    expect(failure.type).toBe('transient');
    expect(failure.message).not.toContain('ESMTP');
  });
});

describe('a certificate that is not to be trusted is the operator’s matter', () => {
  const trusted = getCACertificates('default');
  afterEach(() => setDefaultCACertificates(trusted));

  test('signed by itself', async () => {
    const resend = await server({ tls: otherCertificate });
    const { error, failure } = await failing(send(provider(resend.url)));
    expect(error).toMatchObject({ phase: 'connect', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    expect(failure.type).toBe('operator');
    expect(resend.accepted).toEqual([]);
  });

  test('for another name, by an authority that is trusted', async () => {
    setDefaultCACertificates([...trusted, otherCertificate.cert]);
    const resend = await server({ tls: otherCertificate });
    const { error, failure } = await failing(send(provider(resend.url)));
    expect(error).toMatchObject({ phase: 'connect', code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    expect(failure.type).toBe('operator');
    expect(resend.accepted).toEqual([]);
  });

  test('no TLS at all', async () => {
    const resend = await server();
    const { failure } = await failing(send(provider(resend.url.replace('http:', 'https:'))));
    expect(failure.type).toBe('operator');
  });
});

describe('verify', () => {
  const signal = new AbortController().signal;

  test('a key for everything, and one that may only send', async () => {
    const resend = await server();
    await provider(resend.url).verify!(signal);
    const sending = await server({ domains: problem(401, 'restricted_api_key') });
    await provider(sending.url).verify!(signal);
    expect([...resend.accepted, ...sending.accepted]).toEqual([]);
  });

  test.each<[title: string, domains: Reply | undefined, resendApiKey: string, type: Failure['type']]>([
    ['a wrong key', undefined, 're_wrong', 'operator'],
    ['another 401', problem(401, 'missing_api_key'), 're_test', 'operator'],
    ['a page', { status: 200, body: '<html>' }, 're_test', 'transient'],
    ['a failing server', { status: 500 }, 're_test', 'transient'],
  ])('%s', async (_, domains, resendApiKey, type) => {
    const resend = await server(domains === undefined ? {} : { domains });
    const { failure } = await failing(provider(resend.url, { resendApiKey }).verify!(signal));
    expect(failure.type).toBe(type);
  });
});
