// A stand-in of Resend's API: it keeps idempotency keys as Resend does (resend.com/docs/dashboard/emails/idempotency-keys), remembers what it
// accepted, and answers what a test wants it to.

import { randomUUID } from 'node:crypto';
import { listen, type Asked, type Deviation, type Reply, type Tls } from './mail-api.ts';

export type ResendEmail = {
  readonly from: string;
  readonly to: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: readonly { readonly name: string; readonly value: string }[];
} & Readonly<Record<string, unknown>>;

export type Accepted = { readonly id: string; readonly key: string | undefined; readonly email: ResendEmail };

export type ResendServer = {
  /** For RESEND_BASE_URL. */
  readonly url: string;
  /** Each acceptance, in the order in which it came. */
  readonly accepted: Accepted[];
  /** Requests that were answered from the first acceptance under their key. */
  repeats(): number;
  /** Emails in each request for emails that was made, 1 for a request that is no batch, whatever its answer. */
  readonly requests: number[];
  close(): Promise<void>;
};

export type ResendOptions = {
  /** The only key that is accepted. Default `re_test`. */
  readonly apiKey?: string;
  /** Asked once for each request that no kept key answers. With a promise, the request is under way until it resolves. */
  readonly answer?: (email: ResendEmail) => Deviation | undefined | Promise<Deviation | undefined>;
  /** The same for batches, with all of their emails. */
  readonly answerBatch?: (
    emails: readonly ResendEmail[],
  ) => Deviation | undefined | Promise<Deviation | undefined>;
  /** What is wrong with an email; it is refused. */
  readonly wrong?: (email: ResendEmail) => string | undefined;
  /** What `GET /domains` answers. */
  readonly domains?: Reply;
  readonly tls?: Tls;
};

type Kept = { readonly body: string; answer?: Reply };

/** Resend takes so many emails in one request. */
const batchSize = 100;

export async function startResend(options: ResendOptions = {}): Promise<ResendServer> {
  const { apiKey = 're_test', answer = () => undefined, answerBatch = () => undefined, tls } = options;
  const wrong = options.wrong ?? (() => undefined);
  const accepted: Accepted[] = [];
  const requests: number[] = [];
  const kept = new Map<string, Kept>();
  let repeats = 0;

  function known(key: string, body: string): Reply | undefined {
    const entry = kept.get(key);
    if (entry === undefined) return undefined;
    if (entry.body !== body) return problem(409, 'invalid_idempotent_request');
    if (entry.answer === undefined) return problem(409, 'concurrent_idempotent_requests');
    repeats += 1;
    return entry.answer;
  }

  function accept(key: string | undefined, email: ResendEmail): { readonly id: string } {
    const id = randomUUID();
    accepted.push({ id, key, email });
    return { id };
  }

  /** @param taken accepts it and gives the usual answer */
  async function take(
    key: string | undefined,
    body: string,
    asked: () => Deviation | undefined | Promise<Deviation | undefined>,
    taken: () => Reply,
  ): Promise<Reply> {
    const repeated = key === undefined ? undefined : known(key, body);
    if (repeated !== undefined) return repeated;
    const entry: Kept = { body };
    if (key !== undefined) kept.set(key, entry);
    const { accept: isTaken = false, say } = (await asked()) ?? { accept: true, say: undefined };
    if (!isTaken && key !== undefined) kept.delete(key);
    if (!isTaken) return say!;
    entry.answer = taken();
    return say ?? entry.answer;
  }

  async function takeOne(key: string | undefined, body: string): Promise<Reply> {
    const email = JSON.parse(body) as ResendEmail;
    requests.push(1);
    const message = wrong(email);
    if (message !== undefined) return problem(422, 'validation_error', message);
    return take(
      key,
      body,
      () => answer(email),
      () => ({ status: 200, body: accept(key, email) }),
    );
  }

  async function takeBatch(key: string | undefined, body: string, permissive: boolean): Promise<Reply> {
    const emails = JSON.parse(body) as ResendEmail[];
    requests.push(emails.length);
    if (emails.length > batchSize || emails.some((email) => 'attachments' in email))
      return problem(422, 'validation_error');
    const found = emails.map((email, index) => ({ email, index, message: wrong(email) }));
    const errors = found.flatMap(({ index, message }) => (message === undefined ? [] : [{ index, message }]));
    if (errors.length > 0 && !permissive) return problem(422, 'validation_error', errors[0]!.message);
    const taken = (): Reply => {
      const good = found.filter(({ message }) => message === undefined);
      const data = good.map(({ email }) => accept(key, email));
      return { status: 200, body: errors.length > 0 ? { data, errors } : { data } };
    };
    return take(key, body, () => answerBatch(emails), taken);
  }

  async function reply({ method, url, headers, body: bytes }: Asked): Promise<Reply> {
    const body = bytes.toString();
    if (headers.authorization === undefined) return problem(401, 'missing_api_key');
    if (headers.authorization !== `Bearer ${apiKey}`) return problem(403, 'invalid_api_key');
    if (method === 'GET' && url === '/domains')
      return options.domains ?? { status: 200, body: { object: 'list', data: [] } };
    const key = headers['idempotency-key'] as string | undefined;
    if (method === 'POST' && url === '/emails') return takeOne(key, body);
    if (method === 'POST' && url === '/emails/batch')
      return takeBatch(key, body, headers['x-batch-validation'] === 'permissive');
    return problem(404, 'not_found');
  }

  const { url, close } = await listen(reply, tls);
  return {
    url,
    accepted,
    requests,
    repeats: () => repeats,
    close,
  };
}

export function problem(statusCode: number, name: string, message = `said because of ${name}`): Reply {
  return { status: statusCode, body: { statusCode, name, message } };
}
