// Failover: an email goes by the first of several providers that is not parked (docs/failover.md).
//
//   accepted                                          → delivered
//   it may have arrived (lost answer, HTTP 5xx)       → it stays with this provider, and waits for it while that is parked
//   it has not arrived, and the provider is at fault  → the next provider sends it, in the same attempt
//   the email is refused, or asked to come later      → as with one provider
//
// A parked provider is probed by one delivery: first `verify`, which sends nothing, then with the email itself. So a probe never leaves an email
// with a provider that does not answer.

import { isAway, isUntaken } from '../email/certainty.ts';
import type { EmailPayload } from '../email/email.ts';
import { EmailError } from '../email/error.ts';
import type { Handovers } from '../email/handovers.ts';
import type { EmailProvider, Handover, Receipt } from '../email/provider.ts';
import { isOf } from '../errors.ts';
import { holdDelay } from '../message/backoff.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { Failure } from '../message/outcome.ts';
import type { Milliseconds } from '../ports.ts';
import type { ProviderParking, ProviderState } from '../queues/providers.ts';
import type { Batching } from './batching.ts';
import { handoverFailure } from './failure.ts';
import { StoreError } from './store-error.ts';
import { verified } from './verify.ts';

/** One provider, with the batching of its requests. */
export type Way = { readonly provider: EmailProvider; readonly batching?: Batching | undefined };

export type Failover = {
  /** In the order of the configuration. */
  readonly ways: readonly Way[];
  readonly parking: ProviderParking;
  readonly handovers: Handovers;
  /** Shown as the one who parked a provider. */
  readonly worker: string;
  /** The most time for `verify`. */
  readonly verifyMs: Milliseconds;
  /** An acceptance could not be noted for its provider; the next one is. */
  readonly onError: (error: unknown) => void;
};

export type Mail = {
  readonly message: ClaimedMessage;
  readonly email: EmailPayload;
  readonly about: Handover;
};

/** How a handover ended. */
export type Handed =
  | { readonly type: 'accepted'; readonly by: EmailProvider; readonly receipt: Receipt }
  | { readonly type: 'failed'; readonly failure: Failure; readonly thrown?: unknown }
  /** Nothing was sent. */
  | { readonly type: 'put off'; readonly reason: string | null; readonly delay: Milliseconds };

/** Called with each answer of a provider. */
export type OnEmail = (provider: string, outcome: string) => void;

/** An email that waits for its provider looks again after a quarter of the time for which that has been parked, within these bounds. */
const [soonest, latest]: readonly [Milliseconds, Milliseconds] = [5_000, 60_000];

/** A provider that asks for a longer wait is parked for it. A shorter one holds the queue, so no probe looks for another provider meanwhile. */
const longHold: Milliseconds = 60_000;

/** Sends one email alone or in a batch, as this way does it. */
export async function send({ provider, batching }: Way, { message, email, about }: Mail): Promise<Receipt> {
  // A batch is planned in the database, with the recipients.
  const batch = message.opened ? undefined : batching;
  return batch?.send(email, about, message.attempt) ?? provider.send(email, about);
}

/** @throws StoreError */
export async function sendByOne(way: Way, mail: Mail, onEmail: OnEmail): Promise<Handed> {
  const { provider } = way;
  try {
    const receipt = await send(way, mail);
    onEmail(provider.name, 'accepted');
    return { type: 'accepted', by: provider, receipt };
  } catch (thrown) {
    if (thrown instanceof StoreError) throw thrown;
    const failure = handoverFailure(thrown, provider);
    onEmail(provider.name, failure.ambiguous ? 'ambiguous' : failure.type);
    return { type: 'failed', failure, thrown };
  }
}

/** Certainly the provider has not accepted the email. */
export function isCertain({ thrown }: Failed): boolean {
  return isOf(thrown, EmailError) && isUntaken(thrown);
}

/** A provider in this delivery. It is open if it may be used, also as a probe. */
type Candidate = { readonly way: Way; readonly state: ProviderState; isOpen: boolean; failed?: Failed };

type Failed = Extract<Handed, { type: 'failed' }>;

const unknownState = 'the state of the email providers could not be read or written';

/** @throws StoreError */
export async function sendByFirst(mail: Mail, failover: Failover, onEmail: OnEmail): Promise<Handed> {
  const { message } = mail;
  let candidates: readonly Candidate[] = [];
  try {
    const states = await failover.parking.look(message.probe === true);
    candidates = failover.ways.map((way, i) => ({ way, state: states[i]!, isOpen: !states[i]!.isParked }));
    await verifyProbes(candidates, failover, mail);
    for (const candidate of candidates) {
      if (!candidate.isOpen) continue;
      if (mail.about.signal.aborted) return { type: 'put off', reason: null, delay: 0 };
      const handed = await tryOne(candidate, candidates, mail, failover, onEmail);
      if (handed !== 'next') return handed;
    }
    return nobodyLeft(candidates);
  } catch (error) {
    const failed = candidates.findLast((candidate) => candidate.failed)?.failed;
    // An operator failure would park the queue, and perhaps another provider is open.
    if (failed && failed.failure.type !== 'operator') return failed;
    throw error instanceof StoreError ? error : new StoreError(unknownState, error);
  }
}

/** @returns `next`: the next provider is tried */
async function tryOne(
  candidate: Candidate,
  candidates: readonly Candidate[],
  mail: Mail,
  failover: Failover,
  onEmail: OnEmail,
): Promise<Handed | 'next'> {
  const { message } = mail;
  const { name } = candidate.way.provider;
  const { holder, begunAt } = await failover.handovers.begin({
    message: message.id,
    provider: name,
    attempt: message.attempt,
  });
  if (begunAt === null) {
    const its = candidates.find(({ way }) => way.provider.name === holder);
    if (its?.isOpen && its !== candidate) return tryOne(its, candidates, mail, failover, onEmail);
    return waiting(message, holder ?? name, its?.state, failover);
  }
  const handed = await sendByOne(candidate.way, mail, onEmail).catch(async (error: unknown) => {
    if (holder !== name) await failover.handovers.free(message.id, name, begunAt).catch(() => false); // else it waits for this provider
    throw error;
  });
  if (handed.type === 'accepted') await noted(failover, candidate.state);
  if (handed.type !== 'failed') return handed;
  candidate.failed = handed;
  return afterFailure(candidate, handed, { isBound: holder === name, begunAt }, mail, failover);
}

async function afterFailure(
  candidate: Candidate,
  failed: Failed,
  { isBound, begunAt }: { readonly isBound: boolean; readonly begunAt: string },
  { message, about }: Mail,
  failover: Failover,
): Promise<Handed | 'next'> {
  const { name } = candidate.way.provider;
  const { failure } = failed;
  const isUnsent = isCertain(failed);
  const isFree = isUnsent && !isBound && (await failover.handovers.free(message.id, name, begunAt));
  if (about.signal.aborted) return failed; // it failed because it was ordered to end
  if (!(await blame(candidate, failed, begunAt, failover))) return failed;
  if (isFree) return 'next';
  const isOperator = failure.type === 'operator';
  // It was not sent now, and may have arrived before: to hold it back uses up no attempt.
  if (!candidate.isOpen && (isUnsent || isOperator)) return waiting(message, name, candidate.state, failover);
  return isOperator ? { ...failed, failure: { ...failure, type: 'transient' } } : failed;
}

/** Parks the provider, or counts the failure, if it is the provider's. @returns whether it is */
async function blame(
  candidate: Candidate,
  { failure, thrown }: Failed,
  begunAt: string,
  { parking, worker }: Failover,
): Promise<boolean> {
  const { state } = candidate;
  const { name } = candidate.way.provider;
  const about = { name, reason: failure.message, worker, begunAt };
  const isOperator = failure.type === 'operator' && !failure.maybeOwn;
  const asksToWait = failure.holdsQueue === true && holdDelay(failure.retryAfter) > longHold;
  const isAtFault =
    isOperator || asksToWait || failure.maybeOwn === true || (isOf(thrown, EmailError) && isAway(thrown));
  if (!isAtFault) {
    await parking.answered(state);
    return false;
  }
  if (state.isProbe) await parking.probeFailed(name, failure.message);
  else if (isOperator) await parking.park(about);
  else if (asksToWait) await parking.park(about, { atLeastMs: holdDelay(failure.retryAfter) });
  else await parking.failed(about);
  candidate.isOpen = !(state.isProbe || isOperator || asksToWait);
  return true;
}

/** An acceptance stays one, whatever becomes of the note that the provider works. The next acceptance writes it. */
async function noted({ parking, onError }: Failover, state: ProviderState): Promise<void> {
  await parking.answered(state).catch(onError);
}

async function waiting(
  message: ClaimedMessage,
  provider: string,
  state: ProviderState | undefined,
  { handovers }: Failover,
): Promise<Handed> {
  await handovers.wait(message.id, provider);
  const delay = Math.min(latest, Math.max(soonest, (state?.parkedMs ?? 0) / 4));
  return { type: 'put off', reason: null, delay };
}

/** No provider took it, and none has it. The queue is parked if every provider is. */
function nobodyLeft(candidates: readonly Candidate[]): Handed {
  const ofOpen = candidates.findLast(({ isOpen, failed }) => isOpen && failed)?.failed;
  if (ofOpen !== undefined) return ofOpen;
  const reasons = candidates.map(
    ({ failed, state }) => failed?.failure.message ?? state.reason ?? state.name,
  );
  const message = `no email provider is left: ${reasons.join('; ')}`;
  const maybeOwn = candidates.some(({ failed }) => failed?.failure.maybeOwn);
  return { type: 'failed', failure: { type: 'operator', message, ...(maybeOwn && { maybeOwn }) } };
}

/** Providers behind an open one are not needed by this email: `verify` alone decides about them. */
async function verifyProbes(
  candidates: readonly Candidate[],
  failover: Failover,
  { about }: Mail,
): Promise<void> {
  const firstOpen = candidates.findIndex(({ isOpen }) => isOpen);
  await Promise.all(
    candidates.map(async (candidate, i) => {
      if (!candidate.state.isProbe) return;
      const isNeeded = firstOpen < 0 || i < firstOpen;
      const failure = await verified(candidate.way.provider, failover.verifyMs, about.signal);
      if (about.signal.aborted) return;
      if (failure && (!isNeeded || failure.isAway))
        return failover.parking.probeFailed(candidate.state.name, failure.message);
      candidate.isOpen = isNeeded;
      if (!isNeeded) await failover.parking.answered(candidate.state);
    }),
  );
}
