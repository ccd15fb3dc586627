// Failover: an email goes by the first of several providers that is not parked (docs/failover.md).
//
//   accepted                                          → delivered
//   it may have arrived (lost answer, HTTP 5xx)       → it stays with this provider, and waits for it while that is parked
//   it has not arrived, and the provider is at fault  → the next provider sends it, in the same attempt
//   the email is refused, or asked to come later      → as with one provider
//
// A parked provider is probed by one delivery: first `verify`, which sends nothing, then with the email itself. So a probe never leaves an email
// with a provider that does not answer.

import { isAway } from '../email/certainty.ts';
import { EmailError } from '../email/error.ts';
import type { Handovers } from '../email/handovers.ts';
import { isOf } from '../errors.ts';
import { holdDelay } from '../message/backoff.ts';
import type { Milliseconds } from '../ports.ts';
import type { ProviderParking, ProviderState } from '../queues/providers.ts';
import { isCertain, sendByOne, type Failed, type Handed, type Mail, type OnEmail, type Way } from './send.ts';
import { StoreError } from './store-error.ts';
import { verified } from './verify.ts';

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

/** An email that waits for its provider looks again after a quarter of the time for which that has been parked, within these bounds. */
const [soonest, latest]: readonly [Milliseconds, Milliseconds] = [5_000, 60_000];

/** A provider that asks for a longer wait is parked for it. A shorter one holds the queue, so no probe looks for another provider meanwhile. */
const longHold: Milliseconds = 60_000;

/** A provider in this delivery. */
type Candidate = {
  readonly way: Way;
  readonly state: ProviderState;
  /** It may be used, also as a probe. */
  isOpen: boolean;
  /** It was not parked, or `verify` has found nothing. */
  isFit: boolean;
  failed?: Failed;
};

/** The delivery of one email. */
type Round = {
  readonly mail: Mail;
  readonly candidates: readonly Candidate[];
  readonly failover: Failover;
  readonly onEmail: OnEmail;
};

const unknownState = 'the state of the email providers could not be read or written';

/** @throws StoreError */
export async function sendByFirst(mail: Mail, failover: Failover, onEmail: OnEmail): Promise<Handed> {
  const candidates: Candidate[] = [];
  try {
    const states = await failover.parking.look(mail.message.probe === true);
    for (const [i, way] of failover.ways.entries()) {
      const isOpen = !states[i]!.isParked;
      candidates.push({ way, state: states[i]!, isOpen, isFit: isOpen });
    }
    await verifyProbes(candidates, failover, mail);
    for (const candidate of candidates) {
      if (!candidate.isOpen) continue;
      if (mail.about.signal.aborted) return { type: 'put off', delay: 0 };
      const handed = await tryOne(candidate, { mail, candidates, failover, onEmail });
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
async function tryOne(candidate: Candidate, round: Round): Promise<Handed | 'next'> {
  const { mail, candidates, failover, onEmail } = round;
  const { message } = mail;
  const { name } = candidate.way.provider;
  const { holder, begunAt } = await failover.handovers.begin({
    message: message.id,
    provider: name,
    attempt: message.attempt,
  });
  if (begunAt === null) {
    const its = candidates.find(({ way }) => way.provider.name === holder);
    if (its?.isOpen && its !== candidate) return tryOne(its, round);
    return waiting(holder ?? name, round);
  }
  const handed = await sendByOne(candidate.way, mail, onEmail).catch(async (error: unknown) => {
    if (holder !== name) await failover.handovers.free(message.id, name, begunAt).catch(() => false); // else it waits for this provider
    throw error;
  });
  if (handed.type === 'accepted') await noted(failover, candidate.state);
  if (handed.type !== 'failed') return handed;
  candidate.failed = handed;
  return afterFailure(candidate, handed, { isBound: holder === name, begunAt }, round);
}

async function afterFailure(
  candidate: Candidate,
  failed: Failed,
  { isBound, begunAt }: { readonly isBound: boolean; readonly begunAt: string },
  round: Round,
): Promise<Handed | 'next'> {
  const { mail, failover } = round;
  const { name } = candidate.way.provider;
  const { failure } = failed;
  const isUnsent = isCertain(failed);
  const isFree = isUnsent && !isBound && (await failover.handovers.free(mail.message.id, name, begunAt));
  if (mail.about.signal.aborted) return failed; // it failed because it was ordered to end
  if (!(await blame(candidate, failed, begunAt, failover))) return failed;
  if (isFree) return 'next';
  const isOperator = failure.type === 'operator';
  // It was not sent now, and may have arrived before: to hold it back uses up no attempt.
  if (!candidate.isOpen && (isUnsent || isOperator)) return waiting(name, round);
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
  candidate.isFit = false;
  candidate.isOpen = !(state.isProbe || isOperator || asksToWait);
  return true;
}

/** An acceptance stays one, whatever becomes of the note that the provider works. The next acceptance writes it. */
async function noted({ parking, onError }: Failover, state: ProviderState): Promise<void> {
  await parking.answered(state).catch(onError);
}

/** Nothing is sent. As a probe of the queue, it has shown what `verify` says of the other providers, because this email does not need them. */
async function waiting(provider: string, { mail, candidates, failover }: Round): Promise<Handed> {
  await failover.handovers.wait(mail.message.id, provider);
  const its = candidates.find(({ way }) => way.provider.name === provider);
  const others = candidates.filter((candidate) => candidate.isFit && candidate !== its);
  for (const { state } of others) if (state.isProbe) await failover.parking.answered(state);
  const why = its?.failed?.failure.message ?? its?.state.reason ?? 'it is parked';
  const failed = `an email may have arrived at ${provider}, and waits for it: ${why}`;
  const delay = Math.min(latest, Math.max(soonest, (its?.state.parkedMs ?? 0) / 4));
  return { type: 'put off', delay, probe: others.length > 0 ? 'answered' : { failed } };
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
      candidate.isFit = !failure;
      if (!isNeeded) await failover.parking.answered(candidate.state);
    }),
  );
}
