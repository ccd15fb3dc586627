// A stand-in of Amazon SNS for one topic, after docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html: it serves the certificate,
// signs posts with its key, and knows which subscriptions were confirmed.

import { randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { withRsa } from './certificates.ts';

export const topic = 'arn:aws:sns:eu-west-1:123456789012:emails';
const certificate = 'SimpleNotificationService-0123456789abcdef.pem';

export type Post = Readonly<Record<string, string>>;

export type Sns = {
  readonly baseUrl: string;
  /** How often a certificate was asked for. */
  asked(): number;
  /** Tokens of confirmed subscriptions. */
  confirmed(): readonly string[];
  /** Answers every request with this status from now on; undefined: as usual. */
  fail(status: number | undefined): void;
  /** A signed post. @param fields take the place of the usual ones before it is signed */
  post(fields: Post, version?: '1' | '2'): Post;
  end(): Promise<void>;
};

export async function startSns(): Promise<Sns> {
  let asked = 0;
  let failing: number | undefined;
  const confirmed: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://sns');
    if (url.pathname.endsWith('.pem')) asked++;
    if (failing !== undefined) return void response.writeHead(failing).end();
    if (url.pathname === `/${certificate}`) return void response.end(withRsa.cert);
    const token = url.searchParams.get('Token');
    if (url.pathname !== '/' || url.searchParams.get('Action') !== 'ConfirmSubscription' || !token)
      return void response.writeHead(404).end();
    confirmed.push(token);
    response.end('<ConfirmSubscriptionResponse/>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    baseUrl,
    asked: () => asked,
    confirmed: () => confirmed,
    fail: (status) => void (failing = status),
    post(fields, version = '1') {
      const said = {
        Type: 'Notification',
        MessageId: randomUUID(),
        TopicArn: topic,
        Message: '',
        Timestamp: new Date().toISOString(),
        SignatureVersion: version,
        SigningCertURL: `${baseUrl}/${certificate}`,
        ...fields,
      };
      return { ...said, Signature: signatureOf(said) };
    },
    async end() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** Notifications and confirmations have different fields; all are in the order of their names. */
function signatureOf(said: Readonly<Record<string, string | undefined>>): string {
  const only = said['Type'] === 'Notification' ? ['Subject'] : ['SubscribeURL', 'Token'];
  const fields = ['Message', 'MessageId', 'Timestamp', 'TopicArn', 'Type', ...only].toSorted();
  const text = fields.map((name) => (said[name] === undefined ? '' : `${name}\n${said[name]}\n`)).join('');
  const hash = said['SignatureVersion'] === '2' ? 'sha256' : 'sha1';
  return sign(hash, Buffer.from(text), withRsa.key).toString('base64');
}
