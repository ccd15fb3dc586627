// One request for a planned batch, the first or a later one, and what its end means for the plan. Deliveries of this process that want an answer of
// the same batch share the running request.

import type { BatchPlans, KeptAnswer, Member } from '../email/batch-plan.ts';
import { isUntaken } from '../email/certainty.ts';
import { decideEmail } from '../email/decide.ts';
import { readEmail, type EmailPayload } from '../email/email.ts';
import { EmailError } from '../email/error.ts';
import { foreignAnswer } from '../email/rule.ts';
import { isOf } from '../errors.ts';
import type { EmailBatches, Handover, Mail, Receipt } from '../email/provider.ts';
import { handoverOf } from './handover.ts';
import { StoreError } from './store-error.ts';

/** An email that waits for its answer. */
export type Waiting = { readonly email: EmailPayload; readonly about: Handover };

/** Answers by message. `alone`: these emails cannot go as a batch; each is sent alone. */
export type Answers = ReadonlyMap<string, Receipt | EmailError> | 'alone';

export type BatchRequests = {
  /** The first request of a batch that was just planned. */
  first(batch: string, members: readonly Waiting[]): Promise<Answers>;
  /** A member of the batch is retried. */
  again(batch: string, member: Waiting): Promise<Answers>;
};

export type BatchRequestPorts = {
  readonly provider: string;
  readonly batches: EmailBatches;
  readonly plans: BatchPlans;
  readonly emailFrom: string | null;
};

type UnderWay = { readonly callers: Callers; readonly answers: Promise<Answers> };

// oxlint-disable-next-line max-lines-per-function -- methods over the requests under way
export function createBatchRequests(ports: BatchRequestPorts): BatchRequests {
  const { batches, plans, provider, emailFrom } = ports;
  const underWay = new Map<string, UnderWay>();

  function share(
    batch: string,
    members: readonly Waiting[],
    begin: (signal: AbortSignal) => Promise<Answers>,
  ): Promise<Answers> {
    const running = underWay.get(batch);
    const callers = running?.callers ?? createCallers();
    for (const { about } of members) callers.join(about.signal);
    if (running) return running.answers;
    const answers = begin(callers.signal).finally(() => underWay.delete(batch));
    underWay.set(batch, { callers, answers });
    return answers;
  }

  async function ask(
    batch: string,
    mails: readonly Mail[],
    signal: AbortSignal,
    isFirst: boolean,
  ): Promise<Answers> {
    try {
      const said = await batches.send(mails, { idempotencyKey: batch, signal });
      const answers = mails.map(
        ({ about }, i) => [about.idempotencyKey, said[i] ?? missing(provider)] as const,
      );
      await keep(batch, isFirst ? answers.filter(([, end]) => isOf(end, EmailError)) : answers, plans);
      return new Map(answers);
    } catch (error) {
      if (!isOf(error, EmailError)) throw error;
      const force = isRefused(error);
      // If the plan cannot be freed now, the next attempt sends the same request again, and nothing is lost.
      if (force || (isFirst && isUntaken(error))) await plans.free(batch, { force }).catch(() => undefined);
      if (force) return 'alone';
      throw error;
    }
  }

  return {
    first: (batch, members) =>
      share(batch, members, (signal) => ask(batch, members.map(mailOf), signal, true)),
    again: (batch, member) =>
      share(batch, [member], async (signal) => {
        const members = await plans.again(batch).catch((error: unknown) => {
          throw new StoreError('the plan of a batch could not be read', error);
        });
        const mails = members && rebuilt(members, emailFrom);
        return mails ? ask(batch, mails, signal, false) : 'alone';
      }),
  };
}

function mailOf({ email, about: { messageId, idempotencyKey, date, recipients } }: Waiting): Mail {
  return { email, about: { messageId, idempotencyKey, date, recipients } };
}

function missing(provider: string): EmailError {
  const facts = { provider, phase: 'answered', code: foreignAnswer } as const;
  return new EmailError('the answer for a batch has none for this email', facts);
}

/** Undefined: a row no longer holds an email. */
function rebuilt(members: readonly Member[], defaultFrom: string | null): Mail[] | undefined {
  try {
    return members.map((member) => {
      const read = readEmail(member.payload, { defaultFrom });
      return { email: read.email, about: handoverOf(member, read, member.recipients) };
    });
  } catch {
    return undefined; // the attempt of that message reports what is wrong
  }
}

/**
 * Keeps answers, so that a later attempt needs no request. After the first request, settling records what was received. Only refusals are kept
 * then: after an operator mended the cause, the same key would be refused again.
 */
async function keep(
  batch: string,
  answers: readonly (readonly [string, Receipt | EmailError])[],
  plans: BatchPlans,
): Promise<void> {
  const kept = new Map(
    answers.flatMap(([id, end]): [string, KeptAnswer][] => {
      if (!isOf(end, EmailError)) return [[id, { receipt: end }]];
      return isRefused(end) ? [[id, { receipt: null }]] : [];
    }),
  );
  if (kept.size === 0) return;
  // An answer that is not kept now is asked for again under the same key, and is the same.
  await plans.keep(batch, kept).catch(() => undefined);
}

/** Refused for good, and nothing of it was accepted before. */
function isRefused(error: EmailError): boolean {
  return decideEmail(error).type === 'permanent' && error.status !== 409;
}

type Callers = { readonly signal: AbortSignal; join(signal: AbortSignal): void };

/** Its signal aborts when the signals of all callers have. */
function createCallers(): Callers {
  const controller = new AbortController();
  let present = 0;
  function leave(): void {
    present -= 1;
    if (present === 0) controller.abort();
  }
  return {
    signal: controller.signal,
    join(signal) {
      present += 1;
      if (signal.aborted) queueMicrotask(leave);
      else signal.addEventListener('abort', leave, { once: true });
    },
  };
}
