// Distributes the recipients of one handover over `to`, `cc` and `bcc` of a request that has no envelope,
// so that exactly these recipients get the email and those of `bcc` do not see one another.

import type { Address } from '../address/mailbox.ts';
import { isOf } from '../errors.ts';
import { ruleOf } from './decide.ts';
import type { EmailPayload } from './email.ts';
import { EmailError } from './error.ts';
import type { Receipt } from './provider.ts';

/** The most addresses in `to`, and in all fields together. */
export type Most = { readonly to?: number; readonly all?: number };

export type Addressees = Readonly<Record<'to' | 'cc' | 'bcc' | 'later', readonly Address[]>>;

/** Who gets the request's email, and who needs another one. */
export type Addressed = { readonly recipients: readonly string[]; readonly later: readonly string[] };

/**
 * `cc` fills an empty `to`, which providers refuse. Of `bcc` only one address does, because bcc recipients must not
 * see one another. `later` do not fit into this request.
 */
export function addressees(
  { to, cc = [], bcc = [] }: Pick<EmailPayload, 'to' | 'cc' | 'bcc'>,
  recipients: readonly string[],
  { all = Infinity, to: mostTo = all }: Most,
): Addressees {
  const wanted = new Set(recipients);
  const among = (list: readonly Address[]) => list.filter(({ address }) => wanted.has(address));
  const [first, second, hidden] = [among(to), among(cc), among(bcc)];
  if (first.length + second.length === 0)
    return { to: hidden.slice(0, 1), cc: [], bcc: [], later: hidden.slice(1) };
  const [shown, beside] = first.length > 0 ? [first, second] : [second, []];
  const taken = shown.slice(0, mostTo);
  const [forCc, forBcc] = [all - taken.length, all - taken.length - beside.length].map((n) => Math.max(0, n));
  return {
    to: taken,
    cc: beside.slice(0, forCc),
    bcc: hidden.slice(0, forBcc),
    later: [...shown.slice(mostTo), ...beside.slice(forCc), ...hidden.slice(forBcc)],
  };
}

const bare = (list: readonly Address[]): string[] => list.map(({ address }) => address);

export function addressedOf({ to, cc, bcc, later }: Addressees): Addressed {
  return { recipients: bare([...to, ...cc, ...bcc]), later: bare(later) };
}

/** @param id the provider's id of the accepted email */
export function receiptOf({ recipients, later }: Addressed, status: number, id: string): Receipt {
  return {
    accepted: recipients,
    rejected: [],
    ...(later.length > 0 && { later }),
    response: `HTTP ${status} ${id}`,
    reference: id,
  };
}

/**
 * A refusal because of the request's recipients says nothing about those that did not fit into it. One because of a single recipient among
 * several leaves the email undelivered to all: an operator has to see that.
 * @returns undefined when the error is that of the whole email
 */
export function partlyRefused({ recipients, later }: Addressed, error: unknown): Receipt | undefined {
  if (later.length === 0 || !isOf(error, EmailError)) return undefined;
  const { recipient, oneRecipient } = ruleOf(error);
  if (!recipient && !(oneRecipient && recipients.length === 1)) return undefined;
  const rejected = recipients.map((address) => ({ address, error: error.message }));
  return { accepted: [], rejected, later, response: error.message };
}
