// What the stand-ins of email providers with HTTP APIs share: a real HTTP server that remembers what it accepted, and answers what a test
// wants it to.

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** `drop` closes the connection without an answer; `hang` never answers. */
export type Reply =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown }
  | 'drop'
  | 'hang';

/** What happens instead of the usual; with `accept`, the email was accepted before. */
export type Deviation = { readonly accept?: boolean; readonly say: Reply };

export type Asked = {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
};

export type Tls = { readonly key: string; readonly cert: string };

export type Listening = { readonly url: string; close(): Promise<void> };

/** An email that a stand-in accepted. */
export type Accepted = {
  /** The message's id, from the tag, metadata, argument or variable for reports. */
  readonly message: string;
  /** Every address that gets the email, `bcc` included. */
  readonly recipients: readonly string[];
  readonly messageId: string;
  /** What the provider's own parts hold, for tests of one provider. */
  readonly parts: Readonly<Record<string, unknown>>;
};

export type MailApi = Listening & {
  /** Each acceptance, in the order in which it came. */
  readonly accepted: Accepted[];
};

export type MailApiOptions = {
  /** Asked once for each email that is in order. */
  readonly answer?: (email: Accepted) => Deviation | undefined;
  /** What the request that verifies the key gets instead of the usual. */
  readonly verify?: Reply;
  readonly tls?: Tls;
};

/** What a stand-in makes of a request: an email with the answer to its acceptance, or an answer. */
export type Judged =
  { readonly email: Accepted; readonly taken: (email: Accepted) => Reply } | { readonly say: Reply };

export async function startMailApi(
  judge: (asked: Asked) => Judged | Promise<Judged>,
  { answer = () => undefined, tls }: MailApiOptions,
): Promise<MailApi> {
  const accepted: Accepted[] = [];
  const listening = await listen(async (asked) => {
    const judged = await judge(asked);
    if ('say' in judged) return judged.say;
    const { email, taken } = judged;
    const { accept = false, say } = answer(email) ?? { accept: true, say: undefined };
    if (accept) accepted.push(email);
    return say ?? taken(email);
  }, tls);
  return { ...listening, accepted };
}

export async function listen(reply: (asked: Asked) => Promise<Reply>, tls?: Tls): Promise<Listening> {
  const listener = (request: IncomingMessage, response: ServerResponse): void =>
    // A client that went away in the middle of its request hears nothing.
    void askedOf(request)
      .then(reply)
      .then(
        (what) => send(response, what),
        () => response.destroy(),
      );
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function askedOf(request: IncomingMessage): Promise<Asked> {
  const { method = '', url = '', headers } = request;
  return { method, url, headers, body: await buffer(request) };
}

function send(response: ServerResponse, what: Reply): void {
  if (what === 'hang') return;
  if (what === 'drop') return void response.destroy();
  const { status, headers = {}, body = '' } = what;
  const isText = typeof body === 'string';
  response
    .writeHead(status, { 'content-type': isText ? 'text/html' : 'application/json', ...headers })
    .end(isText ? body : JSON.stringify(body));
}
