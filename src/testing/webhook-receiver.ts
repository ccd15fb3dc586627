// A receiver of webhooks for tests. It listens on a free port of this machine, checks the signature of each request, and answers as the test wants.

import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { checkOptions } from '../options.ts';
import { verifiedId } from '../webhook/signature.ts';

/** A request that the receiver got. */
export type ReceivedWebhook = {
  /** The header `webhook-id`: the same on every attempt. */
  readonly id: string;
  /** The secret whose signature is valid: the first of them; null: none. */
  readonly signedWith: string | null;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The body as it came. */
  readonly text: string;
  /** The body as JSON; undefined if it is none. */
  readonly payload: unknown;
};

/** A status; an answer with headers and a body; `hang`: no answer; `drop`: the connection ends. */
export type WebhookAnswer =
  | number
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Buffer;
    }
  | 'hang'
  | 'drop';

/** What `startFakeWebhookReceiver` takes. */
export type FakeWebhookOptions = {
  /** `whsec_…`: those that the receiver knows. Default: none, so that no signature is checked. */
  readonly secrets?: readonly string[];
  /** Decides the answer to a request whose signature is valid. Default: 204. */
  readonly answer?: (webhook: ReceivedWebhook) => WebhookAnswer | Promise<WebhookAnswer>;
};

/** A receiver of webhooks, on a free port of this machine. */
export type FakeWebhookReceiver = {
  /** `http://127.0.0.1:…/`. The fleet needs WAYBILL_WEBHOOK_ALLOW=127.0.0.1, a drain `webhookAllow: ['127.0.0.1']`. */
  readonly url: string;
  /** Every request, in the order of arrival, also those with a wrong signature, which were answered 401. */
  readonly received: ReceivedWebhook[];
  /** Closes all connections, and the server. */
  close(): Promise<void>;
};

/** Starts a receiver of webhooks for a test. */
export async function startFakeWebhookReceiver(
  options: FakeWebhookOptions = {},
): Promise<FakeWebhookReceiver> {
  checkOptions('startFakeWebhookReceiver', options, ['secrets', 'answer']);
  const { secrets = [], answer = () => 204 } = options;
  const received: ReceivedWebhook[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const body = await buffer(request);
      const { headers, url: path = '/' } = request;
      const signedWith = secrets.find((secret) => verifiedId(body, headers, secret) !== undefined) ?? null;
      const text = body.toString();
      const id = String(headers['webhook-id'] ?? '');
      const webhook = { id, signedWith, path, headers, text, payload: jsonOf(text) };
      received.push(webhook);
      const isWrong = secrets.length > 0 && signedWith === null;
      reply(response, isWrong ? 401 : await answer(webhook));
    })().catch(() => response.destroy()); // a client that left midway, or a test's answer that threw
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    received,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function reply(response: ServerResponse, answer: WebhookAnswer): void {
  if (answer === 'hang') return;
  if (answer === 'drop') return void response.destroy();
  const { status, headers = {}, body = '' } = typeof answer === 'number' ? { status: answer } : answer;
  response.writeHead(status, headers).end(body);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the test sees the text
  }
}
