// Sends one email by one provider, alone or in a batch, and tells how that ended.

import { isUntaken } from '../email/certainty.ts';
import type { EmailPayload } from '../email/email.ts';
import { EmailError } from '../email/error.ts';
import type { EmailProvider, Handover, Receipt } from '../email/provider.ts';
import { isOf } from '../errors.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { Failure, ProbeEnd } from '../message/outcome.ts';
import type { Milliseconds } from '../ports.ts';
import type { Batching } from './batching.ts';
import { handoverFailure } from './failure.ts';
import { StoreError } from './store-error.ts';

/** One provider, with the batching of its requests. */
export type Way = { readonly provider: EmailProvider; readonly batching?: Batching | undefined };

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
  | { readonly type: 'put off'; readonly delay: Milliseconds; readonly probe?: ProbeEnd };

export type Failed = Extract<Handed, { type: 'failed' }>;

/** Called with each answer of a provider. */
export type OnEmail = (provider: string, outcome: string) => void;

/** Sends one email alone or in a batch, as this way does it. */
async function send({ provider, batching }: Way, { message, email, about }: Mail): Promise<Receipt> {
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
