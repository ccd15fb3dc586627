// Wraps the application's own provider, whose functions may return a promise, a value or nothing, or throw synchronously.

import type { EmailBatches, EmailProvider, Handover, Mail, Receipt } from './provider.ts';
import { EmailError } from './error.ts';

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
  return said instanceof EmailError ? said : receiptOf(said, about);
}

function receiptOf(said: unknown, { recipients }: Pick<Handover, 'recipients'>): Receipt {
  const { accepted, rejected, response, reference } = (said ?? {}) as Partial<Receipt>;
  return {
    accepted: Array.isArray(accepted) ? accepted : [...recipients],
    rejected: Array.isArray(rejected) ? rejected : [],
    response: typeof response === 'string' ? response : '',
    ...(typeof reference === 'string' && { reference }),
  };
}
