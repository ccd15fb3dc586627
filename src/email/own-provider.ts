// Wraps the application's own provider, whose functions may return a promise, a value or nothing, or throw synchronously.

import { reportedAddress } from '../address/mailbox.ts';
import { isOf, wordsOf } from '../errors.ts';
import { EmailError } from './error.ts';
import type { EmailBatches, EmailProvider, Handover, Mail, Receipt } from './provider.ts';

/** A receipt that cannot be read counts as acceptance, because another attempt would send the email twice. */
export function ownProvider(provider: EmailProvider): EmailProvider {
  const { name, idempotent, batch } = provider;
  return {
    name,
    idempotent,
    send: async (email, about) => receiptOf(await provider.send(email, about), about),
    ...(batch && { batch: ownBatches(batch) }),
    ...(provider.verify && { verify: async (signal) => provider.verify!(signal) }),
    ...(provider.close && { close: async () => provider.close!() }),
  };
}

function ownBatches(batch: EmailBatches): EmailBatches {
  return {
    size: batch.size,
    takes: (email) => batch.takes(email),
    async send(mails, about) {
      const said: unknown = await batch.send(mails, about);
      return mails.map((mail, i) => ownAnswer(Array.isArray(said) ? said[i] : undefined, mail));
    },
  };
}

function ownAnswer(said: unknown, { about }: Mail): Receipt | EmailError {
  return isOf(said, EmailError) ? said : receiptOf(said, about);
}

type Recipients = Pick<Handover, 'recipients'>;

/** Total: the provider has accepted the email, so nothing that it returns may lead to another send. */
function receiptOf(said: unknown, about: Recipients): Receipt {
  try {
    return readReceipt((said ?? {}) as Readonly<Record<string, unknown>>, about);
  } catch {
    return readReceipt({}, about); // a getter threw
  }
}

function readReceipt(
  { accepted, rejected, later, response, reference }: Readonly<Record<string, unknown>>,
  about: Recipients,
): Receipt {
  const read = <T>(list: unknown, one: (entry: unknown) => T | undefined): T[] | undefined =>
    Array.isArray(list) ? list.map(one).filter((entry) => entry !== undefined) : undefined;
  const others = read(later, (entry) => {
    const found = addressIn(entry, about);
    return found?.isAsked ? found.address : undefined;
  });
  return {
    accepted: read(accepted, (entry) => addressIn(entry, about)?.address) ?? [...about.recipients],
    rejected: read(rejected, (entry) => refusedIn(entry, about)) ?? [],
    ...(others?.length && { later: others }),
    response: typeof response === 'string' ? response : '',
    ...(typeof reference === 'string' && { reference }),
  };
}

/** Only one of the recipients gets an email of its own. */
function refusedIn(entry: unknown, about: Recipients): Receipt['rejected'][number] | undefined {
  const found = addressIn(entry, about);
  if (found === undefined) return undefined;
  const { error, temporary } = fieldsOf(entry);
  const words = error === undefined || error === null ? '' : wordsOf(error);
  return {
    address: found.address,
    error: words || 'refused by the provider, without a reason',
    ...(temporary === true && found.isAsked && { temporary }),
  };
}

/** A text, or an object with an address, as mail libraries return it. */
function addressIn(
  entry: unknown,
  { recipients }: Recipients,
): { readonly address: string; readonly isAsked: boolean } | undefined {
  const { address: text = entry } = fieldsOf(entry);
  const address = typeof text === 'string' ? reportedAddress(text) : undefined;
  if (address === undefined) return undefined;
  const asked = recipients.includes(address)
    ? address
    : recipients.find((one) => one.toLowerCase() === address.toLowerCase());
  return { address: asked ?? address, isAsked: asked !== undefined };
}

const fieldsOf = (entry: unknown): Readonly<Record<string, unknown>> =>
  typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>) : {};
