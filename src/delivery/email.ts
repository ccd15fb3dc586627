// Hands one email to its provider and records what became of each recipient. A recipient that has the email does not get it again. Those refused
// temporarily become a new message, recorded in the statement that settles this one.

import { readEmail, type EmailPayload, type FollowUp } from '../email/email.ts';
import type { Guard } from '../email/guard.ts';
import type { Unsure } from '../email/handovers.ts';
import type { EmailProvider, Receipt } from '../email/provider.ts';
import type { Suppressed } from '../email/suppression.ts';
import type { Log } from '../metrics/log.ts';
import type { Backoff } from '../message/backoff.ts';
import type { ClaimedMessage, NewMessage } from '../message/message.ts';
import type { Note, Outcome } from '../message/outcome.ts';
import { currentTraceparent } from '../trace/trace.ts';
import type { Batching } from './batching.ts';
import type { Delivery } from './delivery.ts';
import { sendByFirst, type Failover } from './failover.ts';
import { isCertain, sendByOne, type Handed, type Mail, type OnEmail } from './send.ts';
import { handoverFailure } from './failure.ts';
import { handoverOf } from './handover.ts';
import { putOff, StoreError } from './store-error.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { cleanError } from '../redaction/redact.ts';

/** How a process sends emails. */
export type Mailing = {
  readonly provider: EmailProvider;
  /** Which addresses may get emails. */
  readonly allowed: Guard;
  readonly suppressed: Suppressed;
  /** Emails that are handed over together go in one request. */
  readonly batching?: Batching;
  /** Where several providers are configured, of which `provider` is the first. */
  readonly failover?: Failover | undefined;
  /** Where one provider is configured: records that it may have an email, for the time when others stand beside it. */
  readonly unsure?: Unsure | undefined;
};

export type EmailPorts = {
  readonly mailing: Mailing;
  readonly emailFrom: string | null;
  readonly backoff: Backoff;
  /** Called with each answer of the provider, and for emails without a recipient left. */
  readonly onEmail: OnEmail;
  readonly log: Pick<Log, 'warn'>;
};

export async function deliverEmail(
  message: ClaimedMessage,
  signal: AbortSignal,
  ports: EmailPorts,
): Promise<Delivery> {
  const { mailing, emailFrom, backoff, onEmail } = ports;
  const { provider, failover } = mailing;
  try {
    const read = readEmail(message.payload, { defaultFrom: emailFrom });
    const { email, only } = read;
    const { recipients, notes } = await choose(only?.recipients ?? everybody(email), mailing);
    if (recipients.length === 0) {
      onEmail(provider.name, notes[0]?.type ?? 'suppressed');
      return { outcome: { type: 'delivered', then: [], notes }, backoff };
    }
    const mail = { message, email, about: { ...handoverOf(message, read, recipients), signal } };
    const handed = await (failover
      ? sendByFirst(mail, failover, onEmail)
      : sendAlone(mail, mailing, onEmail));
    const isNamed = failover !== undefined;
    return endOf(handed, { message, email, backoff, notes, only, log: ports.log, isNamed });
  } catch (error) {
    if (error instanceof StoreError) return { outcome: putOff(error), backoff, thrown: error };
    const failure = handoverFailure(error, provider);
    onEmail(provider.name, failure.type);
    return { outcome: { type: 'failure', failure }, backoff, thrown: error };
  }
}

async function sendAlone(mail: Mail, mailing: Mailing, onEmail: OnEmail): Promise<Handed> {
  const handed = await sendByOne(mailing, mail, onEmail);
  if (handed.type !== 'failed' || !mailing.unsure || isCertain(handed)) return handed;
  try {
    await mailing.unsure(mail.message.id, mailing.provider.name);
    return handed;
  } catch {
    return { ...handed, failure: { ...handed.failure, ambiguous: true } }; // then the attempt says it
  }
}

type About = {
  readonly message: ClaimedMessage;
  readonly email: EmailPayload;
  readonly backoff: Backoff;
  readonly notes: readonly Note[];
  readonly only: FollowUp | undefined;
  readonly log: Pick<Log, 'warn'>;
  /** The note of the acceptance names the provider, because there are several. */
  readonly isNamed: boolean;
};

function endOf(handed: Handed, about: About): Delivery {
  const { backoff } = about;
  switch (handed.type) {
    case 'accepted':
      return { outcome: accepted(handed, about), backoff };
    case 'failed':
      return { outcome: { type: 'failure', failure: handed.failure }, backoff, thrown: handed.thrown };
    case 'put off':
      return {
        outcome: { type: 'released', reason: null, delay: handed.delay, probe: handed.probe },
        backoff,
      };
  }
}

function everybody({ to, cc = [], bcc = [] }: EmailPayload): string[] {
  return [...to, ...cc, ...bcc].map(({ address }) => address);
}

type Chosen = { readonly recipients: readonly string[]; readonly notes: readonly Note[] };

/** The recipients to send to now, and a note for each other one. @throws StoreError */
async function choose(asked: readonly string[], { allowed, suppressed }: Mailing): Promise<Chosen> {
  const verdicts = await Promise.all(asked.map(async (address) => allowed(address)));
  const withheld = asked.filter((_, i) => !verdicts[i]);
  const permitted = asked.filter((_, i) => verdicts[i]);
  const list = await (async () => suppressed(permitted))().catch((error: unknown) => {
    throw new StoreError('the suppression list could not be read', error);
  });
  const detail = 'WAYBILL_EMAIL_ALLOW does not name it: not sent';
  return {
    recipients: permitted.filter((address) => !list.has(address)),
    notes: [
      ...withheld.map((recipient): Note => ({ type: 'withheld', recipient, detail })),
      ...[...list].map(([recipient, reason]): Note => ({ type: 'suppressed', recipient, detail: reason })),
    ],
  };
}

function accepted(
  { by, receipt }: { readonly by: EmailProvider; readonly receipt: Receipt },
  about: About,
): Outcome {
  const { message, notes, log, isNamed } = about;
  const { rejected, later = [], response, reference } = receipt;
  const isAccepted = receipt.accepted.length > 0 || rejected.length === 0;
  const detail = cleanError(isNamed ? `${by.name}: ${response}` : response);
  const told: Note[] = rejected.map(({ address, error, temporary }) => ({
    type: temporary ? 'deferred' : 'refused',
    recipient: address,
    detail: cleanError(error),
  }));
  if (told.length > 0) {
    const recipients = told.map(
      ({ type, recipient = '', detail }) => `${type} ${maskAddresses(recipient)}: ${detail}`,
    );
    const others = isAccepted ? 'the others have the mail' : 'the others get a mail of their own';
    log.warn({ message: message.id, recipients }, `some recipients were refused; ${others}`);
  }
  return {
    type: 'delivered',
    then: followUps(receipt, about).map((recipients) => laterMessage(message, recipients, about.only)),
    notes: [
      ...(isAccepted ? [{ type: 'accepted', detail, reference }] : []),
      ...told,
      ...later.map((recipient): Note => ({ type: 'separate', recipient, detail: detailOfLater })),
      ...notes,
    ],
  };
}

const detailOfLater = 'not in the same request: gets a mail of its own';

/** The most follow-ups for `bcc`, each of which has the whole payload. One with several recipients has follow-ups again. */
const mostHidden = 10;

/**
 * The recipients of each follow-up. Those of `bcc` must not see one another, so a request takes only one of them if nobody else is left: their
 * follow-ups go side by side.
 */
function followUps({ rejected, later = [] }: Receipt, { email: { bcc = [] } }: About): (readonly string[])[] {
  const again = rejected.filter(({ temporary }) => temporary).map(({ address }) => address);
  const unsent = later.filter((address) => !again.includes(address));
  const all = [...again, ...unsent];
  const isHidden = (address: string): boolean => bcc.some((one) => one.address === address);
  if (!all.every(isHidden)) return [all];
  const size = Math.ceil(unsent.length / mostHidden);
  const parts = Array.from({ length: mostHidden }, (_, i) => unsent.slice(i * size, (i + 1) * size));
  return [again, ...parts].filter((recipients) => recipients.length > 0);
}

function laterMessage(
  message: ClaimedMessage,
  recipients: readonly string[],
  only: FollowUp | undefined,
): NewMessage {
  const { kind, name, queue, maxAttempts, priority, group, tags, requestId, traceparent, opened } = message;
  return {
    ...(opened && { sensitive: true, keep: opened.keep }),
    kind,
    name,
    queue,
    maxAttempts,
    priority,
    group: group ?? undefined,
    tags: tags ?? undefined,
    payload: { ...(message.payload as object), only: { of: only?.of ?? message.id, recipients } },
    requestId: requestId ?? undefined,
    traceparent: currentTraceparent() ?? traceparent ?? undefined,
  };
}
