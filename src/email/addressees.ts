// Distributes the recipients of one handover over `to`, `cc` and `bcc` of a request that has no envelope,
// so that exactly these recipients get the email and those of `bcc` do not see one another.

import type { Address } from '../address/mailbox.ts';
import type { EmailPayload } from './email.ts';
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

const ownMail = 'not in the same request: gets a mail of its own';

/** @param id the provider's id of the accepted email */
export function receiptOf({ recipients, later }: Addressed, status: number, id: string): Receipt {
  return {
    accepted: recipients,
    rejected: later.map((address) => ({ address, error: ownMail, temporary: true })),
    response: `HTTP ${status} ${id}`,
    reference: id,
  };
}
