// The answer of an endpoint: its status, and the beginning of its body as text. Whatever follows is never read: an endpoint may answer 10 MB, or for
// ever, or in a form that unpacks to gigabytes.

import type { IncomingMessage } from 'node:http';
import { TextDecoder } from 'node:util';
import { retryAfterOf } from '../message/retry-after.ts';
import type { Milliseconds } from '../ports.ts';
import { after } from '../timer.ts';

export type Answer = {
  readonly status: number;
  /** The beginning of the body: a KB, and as much more as a secret or a url may be long, so that one is found which the end of the KB would cut. */
  readonly text: string;
  readonly retryAfter: Milliseconds | undefined;
  /** Host that a redirect names; it is not followed. */
  readonly location: string | undefined;
};

const kept = 1_024 + 2_048;
/** The status is known; a body that comes slower than this is not worth a slot. */
const longest: Milliseconds = 2_000;

/** Resolves as soon as the beginning is read, the body has ended or broken off, or 2 s have passed. It never rejects. */
export function readResponse(response: IncomingMessage): Promise<Answer> {
  const { statusCode: status = 0, headers } = response;
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    function end(): void {
      timer.stop();
      if (!response.complete) response.destroy(); // the connection cannot be used again
      resolve({
        status,
        text: textOf(Buffer.concat(chunks).subarray(0, kept), response),
        retryAfter: retryAfterOf(headers['retry-after'], headers.date, Date.now()),
        location: status >= 300 && status < 400 ? hostIn(headers.location) : undefined,
      });
    }
    const timer = after(longest, end);
    response.on('data', (chunk: Buffer) => {
      if (size < kept) chunks.push(chunk);
      size += chunk.length;
      if (size >= kept) end();
    });
    response.once('end', end);
    response.once('error', end);
    response.once('close', end);
  });
}

function textOf(bytes: Buffer, { headers }: IncomingMessage): string {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity' && encoding !== '')
    return bytes.length === 0
      ? ''
      : `(a body in the encoding ${encoding.slice(0, 40)}, which is not unpacked)`;
  const charset = /charset\s*=\s*"?([\w.:-]{1,40})/i.exec(headers['content-type'] ?? '')?.[1];
  return decoderOf(charset).decode(bytes, { stream: true }).trim(); // as a stream: a character that was cut is left out
}

function decoderOf(charset: string | undefined): TextDecoder {
  try {
    return new TextDecoder(charset);
  } catch {
    return new TextDecoder(); // a charset that nobody knows
  }
}

/** The path is left out: it may hold a token. */
function hostIn(location: string | undefined): string | undefined {
  if (location === undefined) return undefined;
  return URL.canParse(location) ? new URL(location).host : 'the same host';
}
