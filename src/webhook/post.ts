// One POST to an endpoint. No proxy of the environment is used, no redirect is followed, and nothing is sent before the address of the socket was checked
// (lookup.ts). Connections are kept for the next webhook of the endpoint.

import http from 'node:http';
import https from 'node:https';
import { isIP, type TcpNetConnectOpts } from 'node:net';
import type { Interrupt, Milliseconds } from '../ports.ts';
import { after } from '../timer.ts';
import type { AllowList } from './allow-list.ts';
import { AddressRefused, dnsResolve, guardedLookup, type Resolve } from './lookup.ts';
import { readResponse, type Answer } from './response.ts';
import type { Target } from './target-url.ts';

/**
 * Why no answer came.
 * - `refused`: the address must not be called; nothing was sent
 * - `timeout`: the endpoint did not answer in time
 * - `lost`: no connection, or it broke
 */
export type NoAnswer = {
  readonly lost: 'refused' | 'timeout' | 'lost';
  readonly message: string;
  /** The request was sent, so the endpoint may have taken it. */
  readonly ambiguous: boolean;
};

export type Posting = {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** From the look-up of the name to the status of the answer. */
  readonly timeoutMs: Milliseconds;
  readonly signal: Interrupt;
};

export type Post = {
  /** Never rejects. */
  send(target: Target, posting: Posting): Promise<Answer | NoAnswer>;
  /** Closes the connections that are kept. */
  close(): void;
};

/** Servers close idle connections after 5 s and more (Node's own default), so ours are closed before. */
const keptFor: Milliseconds = 4_000;
/** A server that closes an idle connection while a request is on its way resets it within a round trip. A later reset is of one that has read it. */
const unreadWithin: Milliseconds = 1_000;
const agentOptions = { keepAlive: true, maxFreeSockets: 1, timeout: keptFor };

/** @param resolve default: the name servers of the system */
export function createPost(allow: AllowList, resolve: Resolve = dnsResolve()): Post {
  const lookup = guardedLookup(allow, resolve);
  const agents = { 'http:': new http.Agent(agentOptions), 'https:': new https.Agent(agentOptions) };

  function optionsOf({ url, host }: Target, { headers, body, timeoutMs }: Posting): Options {
    return {
      protocol: url.protocol,
      hostname: host,
      ...(url.protocol === 'https:' && isIP(host) === 0 && { servername: host }),
      port: url.port,
      path: `${url.pathname}${url.search}`,
      method: 'POST',
      lookup,
      // Node gives each address but the last 250 ms: a lost SYN takes a second, and where IPv6 leads nowhere the last address is of no use.
      autoSelectFamilyAttemptTimeout: Math.ceil(timeoutMs / 3),
      headers: {
        'user-agent': 'waybill-webhooks',
        accept: '*/*',
        'accept-encoding': 'identity',
        ...headers,
        host: url.host,
        'content-length': Buffer.byteLength(body),
      },
    };
  }

  async function send(target: Target, posting: Posting): Promise<Answer | NoAnswer> {
    const options = optionsOf(target, posting);
    const agent = agents[target.url.protocol as keyof typeof agents];
    const began = performance.now();
    const first = await ask({ ...options, agent }, posting);
    if (!('wasKept' in first)) return first;
    const passed = performance.now() - began;
    if (passed > unreadWithin) return first.wasKept;
    // The endpoint closed a kept connection while the request was on its way: it has not read it (nodejs.org/api/http.html, request.reusedSocket).
    const second = await ask({ ...options, agent: false }, posting, passed);
    return 'wasKept' in second ? second.wasKept : second;
  }

  return {
    send,
    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

class TimedOut extends Error {}
class Interrupted extends Error {}

/** Node passes options of the connection on; its types name few of them. */
type Options = https.RequestOptions & Pick<TcpNetConnectOpts, 'autoSelectFamilyAttemptTimeout'>;

type Broken = { readonly wasKept: NoAnswer };

/** @param passed of the timeout */
function ask(
  options: Options,
  posting: Posting,
  passed: Milliseconds = 0,
): Promise<Answer | NoAnswer | Broken> {
  const { body, timeoutMs, signal } = posting;
  return new Promise((resolve) => {
    const { request } = options.protocol === 'https:' ? https : http;
    let asked: http.ClientRequest;
    try {
      asked = request(options);
    } catch (error) {
      return resolve(lossOf(error as Error, false)); // a header or an option that Node refuses
    }
    const timer = after(Math.max(1, timeoutMs - passed), () =>
      asked.destroy(new TimedOut(`no answer within ${timeoutMs / 1_000} s`)),
    );
    const interrupt = (): void => void asked.destroy(new Interrupted('the delivery was ended'));
    let isSent = false;
    function over(): void {
      timer.stop();
      signal.removeEventListener('abort', interrupt);
    }
    asked.once('finish', () => (isSent = true));
    asked.once('response', (response) => {
      over();
      resolve(readResponse(response));
    });
    asked.once('close', () => {
      over();
      // Without an error, such as after 101 Switching Protocols. It changes nothing after an answer.
      resolve({ lost: 'lost', message: 'the connection was closed without an answer', ambiguous: isSent });
    });
    asked.on('error', (error: NodeJS.ErrnoException) => {
      over();
      const lost = lossOf(error, isSent);
      resolve(asked.reusedSocket && error.code === 'ECONNRESET' ? { wasKept: lost } : lost);
    });
    if (signal.aborted) interrupt();
    else signal.addEventListener('abort', interrupt, { once: true });
    asked.end(body);
  });
}

function lossOf(error: NodeJS.ErrnoException, isSent: boolean): NoAnswer {
  if (error instanceof AddressRefused) return { lost: 'refused', message: error.message, ambiguous: false };
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error; // one for each address
  const { code, message } = first as NodeJS.ErrnoException;
  const text = code === undefined || message.includes(code) ? message : `${code}: ${message}`;
  return { lost: error instanceof TimedOut ? 'timeout' : 'lost', message: text, ambiguous: isSent };
}
