// One request for a planned batch, the first or again, and what its end means for the plan. Whoever of this process wants an answer of
// the same batch shares the request that is under way.

import type { BatchPlans, KeptAnswer, Member } from '../email/batch-plan.ts';
import { decideEmail } from '../email/decide.ts';
import { readEmail, type EmailPayload } from '../email/email.ts';
import { EmailError } from '../email/error.ts';
import { isOf } from '../errors.ts';
import type { EmailBatches, Handover, Mail, Receipt } from '../email/provider.ts';
import { handoverOf } from './handover.ts';

/** One email that waits for its answer. */
export type Waiting = { readonly email: EmailPayload; readonly about: Handover };

/** By message. `alone`: the batch is no way for these emails, each is to be sent by itself. */
export type Answers = ReadonlyMap<string, Receipt | EmailError> | 'alone';

export type BatchRequests = {
  /** The first request of a batch that was just planned. */
  first(batch: string, members: readonly Waiting[]): Promise<Answers>;
  /** One of its members tries again. */
  again(batch: string, member: Waiting): Promise<Answers>;
};

export type BatchRequestPorts = {
  readonly provider: string;
  readonly batches: EmailBatches;
  readonly plans: BatchPlans;
  readonly emailFrom: string | null;
};

type UnderWay = { readonly callers: Callers; readonly answers: Promise<Answers> };

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
      // When the plan cannot be freed now, the next attempt asks for the same again: nothing is lost by it.
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
          throw unplanned(provider, error);
        });
        const mails = members && rebuilt(members, emailFrom);
        return mails ? ask(batch, mails, signal, false) : 'alone';
      }),
  };
}

function mailOf({ email, about: { messageId, idempotencyKey, date, recipients } }: Waiting): Mail {
  return { email, about: { messageId, idempotencyKey, date, recipients } };
}

/** Nothing was sent: the plans could not be read or written. */
export function unplanned(provider: string, cause: unknown): EmailError {
  const message = `the plan of a batch: ${(cause as Error).message}`;
  return new EmailError(message, { provider, phase: 'connect' }, { cause });
}

function missing(provider: string): EmailError {
  const facts = { provider, phase: 'answered', code: 'EANSWER' } as const;
  return new EmailError('the answer for a batch has none for this email', facts);
}

/** Undefined: a row holds no email any more. */
function rebuilt(members: readonly Member[], defaultFrom: string | null): Mail[] | undefined {
  try {
    return members.map((member) => {
      const read = readEmail(member.payload, { defaultFrom });
      return { email: read.email, about: handoverOf(member, read, member.recipients) };
    });
  } catch {
    return undefined; // its own attempt says what is wrong with it
  }
}

/**
 * Whoever tries again finds it there and need not ask. After the first request those who asked write down by settling what they heard;
 * only who was refused would ask in vain for the same again, when an operator has mended the cause.
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
  // What is not kept now is asked for again under the same key, and answered in the same way.
  await plans.keep(batch, kept).catch(() => undefined);
}

/** For good, and nothing of it was taken before. */
function isRefused(error: EmailError): boolean {
  return decideEmail(error).type === 'permanent' && error.status !== 409;
}

/** Certainly nothing was taken: it did not arrive, or was turned away before anything was done. */
function isUntaken({ phase, status = 0 }: EmailError): boolean {
  return phase === 'connect' || (status >= 300 && status < 500 && ![408, 409, 425].includes(status));
}

type Callers = { readonly signal: AbortSignal; join(signal: AbortSignal): void };

/** Its signal aborts when those of all who joined have. */
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
