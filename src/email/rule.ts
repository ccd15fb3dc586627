// A rule is one row of the table of email errors, made from the matchers below.

import type { Failure } from '../message/outcome.ts';
import type { EmailError } from './error.ts';

export type Fits = (error: EmailError) => boolean;

export type Rule = {
  /** The providers it was written for; it applies to all with the same answer. */
  readonly provider: string;
  /** The stage of the conversation with the server. */
  readonly stage: string;
  /** The answer, in words for the documentation. */
  readonly when: string;
  readonly type: Failure['type'];
  readonly why: string;
  /** The document that the rule follows. */
  readonly source: string;
  readonly fits: Fits;
  /** The provider may have accepted the message all the same, so another attempt may duplicate it. */
  readonly maybeTaken?: true;
  /** Something in front of the provider answered, so the provider is away. */
  readonly notTheirs?: true;
  /** The provider wants fewer messages, so the queue is held, not this message alone. */
  readonly holdsQueue?: true;
  /** An operator failure that may be the message's own, so other messages may pass. */
  readonly maybeOwn?: true;
  /** The recipient is at fault: unknown, disabled, full. */
  readonly recipient?: true;
  /** One recipient of the request is at fault, perhaps beside others that are not. */
  readonly oneRecipient?: true;
  /** The server refused because this process has too many connections. */
  readonly fewerConnections?: true;
};

/** A rule as the tables write it. `provider` and `stage` are `any` by default. */
export type Row = Omit<Rule, 'provider' | 'stage'> & Partial<Pick<Rule, 'provider' | 'stage'>>;

export const ruleFrom = (row: Row): Rule => ({ provider: 'any', stage: 'any', ...row });

/** The code of an answer whose body is none of the provider's: a proxy's HTML, or nothing. */
export const foreignAnswer = 'EANSWER';

/**
 * The rules of one provider with an HTTP API. None fits a 5xx: the email may have been taken, whatever its code says, so the rule for every 5xx decides.
 * An answer that is none of the provider's cannot refuse the message for good.
 */
export const rulesOf = (name: string, provider: string, rows: readonly Row[]): readonly Rule[] =>
  rows.map((row) => {
    const isTheirs = row.type === 'permanent' ? [not(code(foreignAnswer))] : [];
    const fits = all(by(name), not(statuses(5)), ...isTheirs, row.fits);
    return ruleFrom({ ...row, provider, stage: 'HTTP', fits });
  });

/** The characters of a reply that are matched; the rest adds nothing. */
const readable = 2_000;

export const all =
  (...rules: readonly Fits[]): Fits =>
  (error) =>
    rules.every((rule) => rule(error));
export const any =
  (...rules: readonly Fits[]): Fits =>
  (error) =>
    rules.some((rule) => rule(error));
export const not =
  (rule: Fits): Fits =>
  (error) =>
    !rule(error);

/** Errors of one provider alone, for answers that mean something else at others. */
export const by =
  (name: string): Fits =>
  ({ provider }) =>
    provider === name;

export const reply =
  (...codes: readonly number[]): Fits =>
  ({ responseCode = 0 }) =>
    codes.includes(responseCode);
export const replies =
  (...firsts: readonly number[]): Fits =>
  ({ responseCode = 0 }) =>
    firsts.includes(Math.floor(responseCode / 100));

/** Matches enhanced status codes: whole (`5.4.5`), without their class (`.2.2`) or by subject (`.2.`). */
export const enhanced =
  (...codes: readonly string[]): Fits =>
  ({ enhancedCode }) =>
    enhancedCode !== undefined &&
    codes.some((code) => {
      if (!code.startsWith('.')) return enhancedCode === code;
      const rest = enhancedCode.slice(1);
      return code.endsWith('.') ? rest.startsWith(code) : rest === code;
    });

export const status =
  (...codes: readonly number[]): Fits =>
  ({ status: answered = 0 }) =>
    codes.includes(answered);
export const statuses =
  (first: number): Fits =>
  ({ status: answered = 0 }) =>
    Math.floor(answered / 100) === first;

export const code =
  (...codes: readonly string[]): Fits =>
  ({ code: given = '' }) =>
    codes.includes(given);

/** Node's codes for an untrusted certificate or missing TLS. */
export const isCertificateCode = (text = ''): boolean =>
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH$|INVALID_CA$|ETLS$|EREQUIRETLS$)/.test(
    text,
  );
export const certificate: Fits = ({ code: given }) => isCertificateCode(given);

export const to =
  (...commands: readonly string[]): Fits =>
  ({ command = '' }) =>
    commands.includes(command);
export const toAuth: Fits = ({ command }) => command?.startsWith('AUTH') === true;
export const says =
  (pattern: RegExp): Fits =>
  ({ message }) =>
    pattern.test(message.slice(0, readable));
