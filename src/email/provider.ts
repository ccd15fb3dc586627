// The interface of email providers. All report failures as EmailError, so that one table decides what they mean.
// An application may have its own: `defineApp({ email: { provider } })`.

import type { EmailPayload } from './email.ts';
import type { EmailError } from './error.ts';

/** A provider accepted an email, or some of its recipients are still to be tried. */
export type Receipt = {
  /** Addresses that the provider accepted; none when it refused all recipients of the request and `later` names others. */
  readonly accepted: readonly string[];
  /** Recipients refused while others were accepted. The temporarily refused get a message of their own. */
  readonly rejected: readonly {
    readonly address: string;
    readonly error: string;
    readonly temporary?: boolean;
  }[];
  /** Recipients that did not fit into the request. They get a message of their own. */
  readonly later?: readonly string[];
  /** The provider's response, for the message's timeline. */
  readonly response: string;
  /** The provider's id of the accepted email; its later reports contain it. */
  readonly reference?: string;
};

/** What a provider gets beside the email. */
export type Handover = {
  /** The Message-ID, the same for every attempt, so that receivers can detect a duplicate. */
  readonly messageId: string;
  /** The same for every attempt. An idempotent provider does not send again under a known key. */
  readonly idempotencyKey: string;
  /** The Date header, the same for every attempt: when the message was recorded, or became available, if later. */
  readonly date: Date;
  /** The addresses of `to`, `cc` and `bcc` that get this handover. Never empty. */
  readonly recipients: readonly string[];
  /** Aborts when the handover must end now. */
  readonly signal: AbortSignal;
};

/** An email in a request for several. Its `idempotencyKey` is its message's id. */
export type Mail = { readonly email: EmailPayload; readonly about: Omit<Handover, 'signal'> };

/** Several emails in one request under one key. A repeated key must send nothing twice. */
export type EmailBatches = {
  /** The most emails in one request. */
  readonly size: number;
  /** Whether the email may be sent in a batch. The answer must depend on the email alone. */
  takes(email: EmailPayload): boolean;
  /**
   * Hands all emails over. A repeated key gives the first answer again.
   * @returns the result of each email, in their order
   * @throws EmailError when the request failed as a whole
   */
  send(
    mails: readonly Mail[],
    about: Pick<Handover, 'idempotencyKey' | 'signal'>,
  ): Promise<readonly (Receipt | EmailError)[]>;
};

/** An email provider. An application may have its own: `defineApp({ email: { provider } })`. */
export type EmailProvider = {
  /** Shown in logs, metrics and errors. */
  readonly name: string;
  /** Whether a repeated idempotencyKey sends nothing twice, so that a lost answer causes no duplicate. */
  readonly idempotent: boolean;
  /**
   * Hands one email over.
   * @throws EmailError
   */
  send(email: EmailPayload, about: Handover): Promise<Receipt>;
  /** Set it when the provider takes several emails in one request. */
  readonly batch?: EmailBatches;
  /**
   * Checks the connection and the credentials without sending an email.
   * @throws EmailError
   */
  verify?(signal: AbortSignal): Promise<void>;
  /** Closes open connections; running sends fail. */
  close?(): Promise<void>;
};

export type ProviderLog = {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
};
