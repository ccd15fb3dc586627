// The provider: where emails are handed over. Each says in one error form how far it got, so that one table can decide.
// An application may bring its own: `defineApp({ email: { provider } })`.

import type { EmailPayload } from './email.ts';
import type { EmailError } from './error.ts';

export type Receipt = {
  readonly accepted: readonly string[];
  /** Recipients refused while others were accepted. The temporarily refused are tried again, alone. */
  readonly rejected: readonly {
    readonly address: string;
    readonly error: string;
    readonly temporary?: boolean;
  }[];
  /** What the provider said. */
  readonly response: string;
  /** The provider's own name for what it took; its later reports use it. */
  readonly reference?: string;
};

export type Handover = {
  /** Becomes the Message-ID, the same for every attempt, so that receivers can tell a repetition. */
  readonly messageId: string;
  /** The same for every attempt. A provider that knows it already does not send again. */
  readonly idempotencyKey: string;
  /** Becomes the Date: when the message was recorded, or became available, if that was later. The same for every attempt. */
  readonly date: Date;
  /** Whom this handover is for: those of `to`, `cc` and `bcc` that are to get it now. Never empty. */
  readonly recipients: readonly string[];
  /** Aborts when it must end now. */
  readonly signal: AbortSignal;
};

/** An email in a request for several. Its `idempotencyKey` is its message's id. */
export type Mail = { readonly email: EmailPayload; readonly about: Omit<Handover, 'signal'> };

/** Several emails in one request under one key. A repeated key must send nothing twice. */
export type EmailBatches = {
  /** Emails in one request, at most. */
  readonly size: number;
  /** Whether the email may be among others. It depends on nothing but the email. */
  takes(email: EmailPayload): boolean;
  /**
   * Hands all of them over. Under a key that is known already it gives what it gave first.
   * @returns what became of each, in their order
   * @throws EmailError when the request failed as a whole
   */
  send(
    mails: readonly Mail[],
    about: Pick<Handover, 'idempotencyKey' | 'signal'>,
  ): Promise<readonly (Receipt | EmailError)[]>;
};

export type EmailProvider = {
  readonly name: string;
  /** Whether a repeated idempotencyKey sends nothing twice: then a lost answer is no possible duplicate. */
  readonly idempotent: boolean;
  /**
   * Hands one email over.
   * @throws EmailError
   */
  send(email: EmailPayload, about: Handover): Promise<Receipt>;
  /** Where one request for several is better than one for each. */
  readonly batch?: EmailBatches;
  /**
   * Proves that the provider lets us in, and sends nothing.
   * @throws EmailError
   */
  verify?(signal: AbortSignal): Promise<void>;
  /** Ends what is open; running sends fail. */
  close?(): Promise<void>;
};

export type ProviderLog = {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
};
