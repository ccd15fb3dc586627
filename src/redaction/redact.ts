// Redaction: what may be shown of a text from elsewhere. The result has no secret and no whole mail address, is bounded, and can be stored. It is the
// one place for `last_error`, attempts, the log, the admin API, notices and the command line.

import { maskAddresses } from './addresses.ts';
import { patternOf, secretsOf } from './secrets.ts';
import { hidden, hideShapes } from './shapes.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Longer texts are cut before they are searched. */
const readAtMost = 65_536;
/** Characters kept of an error's text. */
export const keptOfError = 4_000;
/** Characters kept of a stack with its causes. */
export const keptOfStack = 16_000;

export type Redactor = {
  /** Hides secrets: values of the environment, and texts that look like one. */
  secrets(text: string): string;
  /** Hides mail addresses too. */
  text(text: string): string;
};

export function createRedactor(env: Env): Redactor {
  const pattern = patternOf(secretsOf(env));
  const secrets = (text: string): string =>
    hideShapes(pattern === null ? text : text.replaceAll(pattern, hidden));
  return { secrets, text: (text) => maskAddresses(secrets(text)) };
}

/** How long a redactor is kept: a .env file may add variables after the first error was shown. */
const freshMs = 100;
const current: { redactor: Redactor | undefined; until: number } = { redactor: undefined, until: 0 };

function redactor(): Redactor {
  if (!current.redactor || performance.now() > current.until) {
    current.redactor = createRedactor(process.env);
    current.until = performance.now() + freshMs;
  }
  return current.redactor;
}

/** Hides secrets: those of this process's environment, and texts that look like one. Addresses stay. */
export function hideSecrets(text: string): string {
  return redactor().secrets(text.length > readAtMost ? text.slice(0, readAtMost) : text);
}

/** An error's text that may be stored and shown: redacted, well-formed, without U+0000, at most `most` characters. */
export function cleanError(text: string, most = keptOfError): string {
  const bounded = text.length > readAtMost ? text.slice(0, readAtMost) : text;
  return storable(redactor().text(bounded), most);
}

/** A text that Postgres can store: well-formed, without U+0000, bounded. Characters that break a payload must not break the record of its failure. */
export function storable(text: string, most = keptOfError): string {
  const clean = text
    .slice(0, most + 1)
    .toWellFormed()
    .replaceAll('\0', '\u2400');
  return clean.length <= most ? clean : `${clean.slice(0, most - 1).toWellFormed()}…`;
}
