// Delivers one webhook: reads where it goes now, signs it, posts it, and judges the answer. The application's `resolve` runs in a transaction that is
// rolled back before the request: no connection of the database waits for an endpoint.

import type { Endpoint, EndpointAddress } from '../define/endpoint.ts';
import type { Job } from '../define/job.ts';
import { z } from 'zod';
import type { ClaimedMessage, NewMessage } from '../message/message.ts';
import type { Failure, Outcome } from '../message/outcome.ts';
import { webhookPayload } from '../message/webhook.ts';
import type { Interrupt, Milliseconds } from '../ports.ts';
import type { GroupEnd, GroupFailing } from '../queues/circuit.ts';
import { cleanError } from '../redaction/redact.ts';
import { allowNothing, type AllowList } from '../webhook/allow-list.ts';
import { createPost, type NoAnswer, type Post } from '../webhook/post.ts';
import type { Answer } from '../webhook/response.ts';
import { answerText, pathsOf } from '../webhook/shown-answer.ts';
import { secretsProblem, signedHeaders } from '../webhook/signature.ts';
import { notPublic, readTarget, type Target } from '../webhook/target-url.ts';
import type { Delivery } from './delivery.ts';
import { runHandler, type HandlerPorts } from './handler.ts';

/** How a process sends webhooks. */
export type Webhooks = {
  readonly post: Post;
  readonly allow: AllowList;
  /** The time that `resolve` has. */
  readonly resolveMs: Milliseconds;
};

/** `resolve` reads a row or two; on a busy machine it waits for a connection. One that hangs holds a slot for so long. */
const usualResolveMs: Milliseconds = 10_000;

export const createWebhooks = (allow: AllowList = allowNothing, resolveMs = usualResolveMs): Webhooks => ({
  post: createPost(allow),
  allow,
  resolveMs,
});

/** An answer that took longer kept its slot for too long: the endpoint is held from its first failure on. */
const slow: Milliseconds = 2_000;

const stored = webhookPayload(z.unknown());
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
  const fails = (failure: Failure, more: More = {}): Delivery =>
    ended({ type: 'failure', failure }, failing(endpoint, envelope.to, failure, more));

  const target = readTarget(address.url, { allow: ports.webhooks.allow, allowHttp: endpoint.allowHttp });
  if ('problem' in target)
    return fails(permanent(refused(target.problem)), { told: target.told && refused(target.told) });

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
    // It was interrupted here: that says nothing of the endpoint, and the receiver knows the id when the webhook is sent again.
    if (signal.aborted) return ended({ type: 'failure', failure: { ...failure, ambiguous: false } });
    return fails(failure, { isSlow, told: answer.lost === 'refused' ? refused(notPublic) : undefined });
  }
  const hidden = endpoint.sensitive ? null : [...address.secrets, ...pathsOf(target.url)];
  const detail = answerText(answer, ms, hidden);
  if (answer.status >= 200 && answer.status < 300) {
    const outcome: Outcome = { type: 'delivered', then: [], notes: [{ type: 'accepted', detail }] };
    return ended(outcome, message.isGroupFailing === false ? undefined : { isOk: true });
  }
  const more = answer.status === 410 ? { isGone: true } : { isSlow, retryAfter: answer.retryAfter };
  return fails(refusalOf(`${target.url.host} answered ${detail}`, answer), more);
}

function refusalOf(text: string, { status, retryAfter }: Pick<Answer, 'status' | 'retryAfter'>): Failure {
  if (status === 410) return permanent(`${text} (Gone: it wants no more webhooks)`);
  return { type: 'transient', message: text, ...(retryAfter !== undefined && { retryAfter }) };
}

const permanent = (message: string): Failure => ({ type: 'permanent', message });
const refused = (problem: string): string => `webhook_refused: ${problem}`;

function requestOf(id: string, body: unknown, secrets: readonly string[]) {
  const text = JSON.stringify(body);
  const headers = { 'content-type': 'application/json', ...signedHeaders(id, text, secrets, new Date()) };
  return { body: text, headers }; // the receiver compares the time with its own clock
}

function lostOf({ lost, message, ambiguous }: NoAnswer, { url }: Target): Failure {
  if (lost === 'refused') return permanent(refused(message));
  return { type: 'transient', message: `no answer of ${url.host}: ${message}`, ambiguous };
}

type Resolved =
  { readonly envelope: Stored; readonly address: EndpointAddress } | { readonly failed: Delivery };

/** A failure of `resolve` is none of the endpoint. While it hangs, the endpoint is held all the same, because each attempt holds a slot. */
async function resolve(
  endpoint: Endpoint,
  message: ClaimedMessage,
  signal: Interrupt,
  { webhooks: { resolveMs }, ...ports }: HandlerPorts & { readonly webhooks: Webhooks },
): Promise<Resolved> {
  let found: { readonly envelope: Stored; readonly address: EndpointAddress | null } | undefined;
  let began: Stored | undefined;
  const { name, retry } = endpoint;
  const handled = {
    kind: 'endpoint',
    name,
    payload: stored,
    retry,
    timeoutMs: resolveMs,
    async handler(ctx: Parameters<Job['handler']>[0], payload: unknown) {
      const envelope = payload as Stored;
      began = envelope;
      found = { envelope, address: checkedAddress(name, await endpoint.resolve(ctx, envelope.to ?? '')) };
    },
  };
  const start = performance.now();
  const { work, ...delivery } = await runHandler(handled, message, signal, ports);
  await work?.rollback().catch(() => undefined); // its connection is gone: nothing of it remains
  const hung = began !== undefined && !signal.aborted && performance.now() - start >= resolveMs;
  if (found === undefined && hung) return { failed: hanging(endpoint, delivery, resolveMs) };
  if (delivery.outcome.type !== 'delivered' || found === undefined)
    return { failed: began === undefined ? delivery : retried(delivery) };
  const { envelope, address } = found;
  if (address !== null) return { envelope, address };
  const gone = `endpoint_gone: the endpoint ${name} has no ${JSON.stringify(envelope.to)} any more`;
  return { failed: { ...delivery, outcome: { type: 'failure', failure: permanent(gone) } } };
}

/** Whatever `resolve` throws says nothing of the webhook, and nothing was sent: the next version of the application resolves it. */
function retried(delivery: Delivery): Delivery {
  const { outcome } = delivery;
  if (outcome.type !== 'failure') return delivery;
  const { type, ambiguous: _, ...rest } = outcome.failure;
  const failure: Failure = { ...rest, type: type === 'permanent' ? 'transient' : type };
  return { ...delivery, outcome: { type: 'failure', failure } };
}

function hanging(endpoint: Endpoint, delivery: Delivery, resolveMs: Milliseconds): Delivery {
  const message = `resolve of the endpoint ${endpoint.name} took longer than ${resolveMs / 1_000} s`;
  const failure: Failure = { type: 'transient', message };
  return {
    ...delivery,
    outcome: { type: 'failure', failure },
    group: { isOk: false, isHung: true, reason: message },
  };
}

/**
 * A wrong shape is a mistake of the application, as an error of `resolve` is: the webhook waits for the next version. A url that must not be called is
 * the customer's, and is judged later.
 */
function checkedAddress(name: string, given: EndpointAddress | null | undefined): EndpointAddress | null {
  if (given === null || given === undefined) return null;
  const { url, secrets } = given;
  if (typeof given !== 'object' || typeof url !== 'string')
    throw new TypeError(
      `resolve of the endpoint ${name} must return { url, secrets }, both as texts, or null`,
    );
  const problem = secretsProblem(secrets);
  if (problem !== undefined) throw new TypeError(`resolve of the endpoint ${name}: ${problem}`);
  return { url, secrets: [...secrets] };
}

/** `told`: the reason that the owner of the endpoint gets. Default: that of the failure. */
type More = Partial<GroupFailing> & { readonly told?: string | undefined };

function failing(
  endpoint: Pick<Endpoint, 'parkAfterMs' | 'parkedJob'>,
  id: string | null,
  failure: Failure,
  { isSlow = false, isGone = false, retryAfter, told }: More,
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
        payload: { id, since: since.toISOString(), failures, reason: told ?? reason },
      },
  };
}
