// Delivers one webhook: reads where it goes now, signs it, posts it, and judges the answer. The application's `resolve` runs in a transaction that is
// rolled back before the request: no connection of the database waits for an endpoint.

import type { Endpoint, EndpointAddress } from '../define/endpoint.ts';
import { envelopeOf } from '../define/endpoint.ts';
import type { Job } from '../define/job.ts';
import { z } from 'zod';
import type { ClaimedMessage, NewMessage } from '../message/message.ts';
import type { Failure, Outcome } from '../message/outcome.ts';
import type { Interrupt, Milliseconds } from '../ports.ts';
import type { GroupEnd, GroupFailing } from '../queues/circuit.ts';
import { cleanError } from '../redaction/redact.ts';
import { allowNothing, type AllowList } from '../webhook/allow-list.ts';
import { createPost, type NoAnswer, type Post } from '../webhook/post.ts';
import type { Answer } from '../webhook/response.ts';
import { secretsProblem, signedHeaders } from '../webhook/signature.ts';
import { readTarget, type Target } from '../webhook/target-url.ts';
import type { Delivery } from './delivery.ts';
import { runHandler, type HandlerPorts } from './handler.ts';

/** How a process sends webhooks. */
export type Webhooks = { readonly post: Post; readonly allow: AllowList };

export const createWebhooks = (allow: AllowList = allowNothing): Webhooks => ({
  post: createPost(allow),
  allow,
});

/** `resolve` reads a row or two; on a busy machine it waits for a connection. */
const resolveMs: Milliseconds = 30_000;
/** An answer that took longer kept its slot for too long: the endpoint is held from its first failure on. */
const slow: Milliseconds = 2_000;

const stored = envelopeOf(z.unknown());
type Stored = z.output<typeof stored>;

export async function deliverWebhook(
  endpoint: Endpoint,
  message: ClaimedMessage,
  signal: Interrupt,
  ports: HandlerPorts & { readonly webhooks: Webhooks },
): Promise<Delivery> {
  const { backoff } = endpoint.retry;
  const resolved = await resolve(endpoint, message, signal, ports);
  if ('failed' in resolved) return resolved.failed;
  const { envelope, address } = resolved;
  const ended = (outcome: Outcome, group?: GroupEnd): Delivery => ({
    outcome,
    backoff,
    ...(group && { group }),
  });
  const fails = (failure: Failure, more: Partial<GroupFailing> = {}): Delivery =>
    ended({ type: 'failure', failure }, failing(endpoint, envelope.to, failure, more));

  const target = readTarget(address.url, { allow: ports.webhooks.allow, allowHttp: endpoint.allowHttp });
  if ('problem' in target) return fails(permanent(`webhook_refused: ${target.problem}`));
  const problem = secretsProblem(address.secrets);
  if (problem !== undefined) return fails(permanent(`webhook_secrets_invalid: ${problem}`));

  const began = performance.now();
  const answer = await ports.webhooks.post.send(target, {
    ...requestOf(envelope.id ?? message.id, envelope.body, address.secrets),
    timeoutMs: endpoint.timeoutMs,
    signal,
  });
  const ms = Math.round(performance.now() - began);
  const isSlow = ms >= slow;
  if ('lost' in answer) {
    const failure = lostOf(answer, target);
    // It was interrupted here: that says nothing of the endpoint.
    return signal.aborted ? ended({ type: 'failure', failure }) : fails(failure, { isSlow });
  }
  const detail = answerText(answer, ms, address.secrets);
  if (answer.status >= 200 && answer.status < 300) {
    const outcome: Outcome = { type: 'delivered', then: [], notes: [{ type: 'accepted', detail }] };
    return ended(outcome, message.isGroupFailing === false ? undefined : { isOk: true });
  }
  const { retryAfter } = answer;
  const isGone = answer.status === 410;
  return fails(
    refusalOf(`${target.url.host} answered ${detail}`, answer),
    isGone ? { isGone } : { isSlow, retryAfter },
  );
}

function refusalOf(text: string, { status, retryAfter }: Pick<Answer, 'status' | 'retryAfter'>): Failure {
  if (status === 410) return permanent(`${text} (Gone: it wants no more webhooks)`);
  return { type: 'transient', message: text, ...(retryAfter !== undefined && { retryAfter }) };
}

const permanent = (message: string): Failure => ({ type: 'permanent', message });

function requestOf(id: string, body: unknown, secrets: readonly string[]) {
  const text = JSON.stringify(body);
  const headers = { 'content-type': 'application/json', ...signedHeaders(id, text, secrets, new Date()) };
  return { body: text, headers }; // the receiver compares the time with its own clock
}

function lostOf({ lost, message, ambiguous }: NoAnswer, { url }: Target): Failure {
  if (lost === 'refused') return permanent(`webhook_refused: ${message}`);
  return { type: 'transient', message: `no answer of ${url.host}: ${message}`, ambiguous };
}

/** An endpoint may repeat what it got. */
function answerText(
  { status, text, location }: Answer,
  ms: Milliseconds,
  secrets: readonly string[],
): string {
  const shown = secrets.reduce((left, one) => left.replaceAll(one, '…').replaceAll(one.slice(6), '…'), text);
  const redirect = location === undefined ? '' : `, a redirect to ${location}, which is not followed`;
  return `${status} in ${ms} ms${redirect}${shown === '' ? '' : `: ${shown}`}`;
}

type Resolved =
  { readonly envelope: Stored; readonly address: EndpointAddress } | { readonly failed: Delivery };

/** A failure of `resolve` is none of the endpoint. */
async function resolve(
  endpoint: Endpoint,
  message: ClaimedMessage,
  signal: Interrupt,
  ports: HandlerPorts,
): Promise<Resolved> {
  let found: { readonly envelope: Stored; readonly address: EndpointAddress | null } | undefined;
  const { name, retry } = endpoint;
  const handled = {
    kind: 'endpoint',
    name,
    payload: stored,
    retry,
    timeoutMs: resolveMs,
    async handler(ctx: Parameters<Job['handler']>[0], payload: unknown) {
      const envelope = payload as Stored;
      found = { envelope, address: checkedAddress(name, await endpoint.resolve(ctx, envelope.to ?? '')) };
    },
  };
  const { work, ...delivery } = await runHandler(handled, message, signal, ports);
  await work?.rollback().catch(() => undefined); // its connection is gone: nothing of it remains
  if (delivery.outcome.type !== 'delivered' || found === undefined) return { failed: delivery };
  const { envelope, address } = found;
  if (address !== null) return { envelope, address };
  const gone = `endpoint_gone: the endpoint ${name} has no ${JSON.stringify(envelope.to)} any more`;
  return { failed: { ...delivery, outcome: { type: 'failure', failure: permanent(gone) } } };
}

function checkedAddress(name: string, address: EndpointAddress | null | undefined): EndpointAddress | null {
  if (address === null || address === undefined) return null;
  if (typeof address === 'object') return address;
  throw new TypeError(`resolve of the endpoint ${name} must return { url, secrets } or null`);
}

function failing(
  endpoint: Endpoint,
  id: string | null,
  failure: Failure,
  { isSlow = false, isGone = false, retryAfter }: Partial<GroupFailing>,
): GroupFailing {
  const { parkAfterMs, parkedJob } = endpoint;
  const reason = cleanError(failure.message, 1_000);
  return {
    isOk: false,
    reason,
    isSlow,
    isGone,
    retryAfter,
    parkAfterMs,
    parked: ({ since, failures }): NewMessage | null =>
      parkedJob && {
        kind: 'job',
        name: parkedJob.name,
        queue: parkedJob.queue,
        maxAttempts: parkedJob.retry.maxAttempts,
        payload: { id, since: since.toISOString(), failures, reason },
      },
  };
}
