// A rule: one row of the table that says what an email error means, and the questions from which the rows are put together.

import type { Failure } from '../message/outcome.ts';
import type { EmailError } from './error.ts';

export type Fits = (error: EmailError) => boolean;

export type Rule = {
  /** Whose answers it was made for; it holds for every provider that answers in the same way. */
  readonly provider: string;
  /** Where in the conversation. */
  readonly stage: string;
  /** What is answered, as people say it. */
  readonly when: string;
  readonly type: Failure['type'];
  readonly why: string;
  /** Where that is written. */
  readonly source: string;
  readonly fits: Fits;
  /** It asked everybody to wait, not this message alone. */
  readonly holdsQueue?: true;
  /** Said of us, and yet the message may be the reason: others may pass. */
  readonly maybeOwn?: true;
  /** The recipient is at fault: unknown, disabled, full. */
  readonly recipient?: true;
  /** It has too many connections of ours. */
  readonly fewerConnections?: true;
};

/** What a refusal says is looked at this far; the rest of a long one says nothing new. */
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

/** SMTP replies. */
export const reply =
  (...codes: readonly number[]): Fits =>
  ({ responseCode }) =>
    responseCode !== undefined && codes.includes(responseCode);
export const replies =
  (...firsts: readonly number[]): Fits =>
  ({ responseCode }) =>
    responseCode !== undefined && firsts.includes(Math.floor(responseCode / 100));

/** Enhanced status codes, whole (`5.4.5`) or without their class (`.2.2`) or by subject (`.2.`). */
export const enhanced =
  (...codes: readonly string[]): Fits =>
  ({ enhancedCode }) =>
    enhancedCode !== undefined &&
    codes.some((code) => {
      if (!code.startsWith('.')) return enhancedCode === code;
      const rest = enhancedCode.slice(1);
      return code.endsWith('.') ? rest.startsWith(code) : rest === code;
    });

/** HTTP answers. */
export const status =
  (...codes: readonly number[]): Fits =>
  ({ status: answered }) =>
    answered !== undefined && codes.includes(answered);
export const statuses =
  (first: number): Fits =>
  ({ status: answered }) =>
    answered !== undefined && Math.floor(answered / 100) === first;

export const code =
  (...codes: readonly string[]): Fits =>
  (error) =>
    error.code !== undefined && codes.includes(error.code);
export const to =
  (...commands: readonly string[]): Fits =>
  ({ command }) =>
    command !== undefined && commands.includes(command);
export const toAuth: Fits = ({ command }) => command?.startsWith('AUTH') === true;
export const says =
  (pattern: RegExp): Fits =>
  ({ message }) =>
    pattern.test(message.slice(0, readable));
