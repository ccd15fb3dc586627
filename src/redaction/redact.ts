// What may be shown of a text that came from elsewhere: no secret, no whole mail address, bounded, storable. The one place for `last_error`,
// attempts, the log, the admin API, notices and the command line.

import { maskAddresses } from './addresses.ts';
import { patternOf, secretsOf } from './secrets.ts';
import { hidden, hideShapes } from './shapes.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Longer texts are cut before anything is looked for in them. */
const readAtMost = 65_536;
/** Characters that are kept of an error's text. */
export const keptOfError = 4_000;
/** Characters that are kept of a stack with its causes. */
export const keptOfStack = 16_000;

export type Redactor = {
  /** Without the secrets: values of the environment, and what looks like one. */
  secrets(text: string): string;
  /** Without mail addresses too. */
  text(text: string): string;
};

export function createRedactor(env: Env): Redactor {
  const pattern = patternOf(secretsOf(env));
  const secrets = (text: string): string =>
    hideShapes(pattern === null ? text : text.replaceAll(pattern, hidden));
  return { secrets, text: (text) => maskAddresses(secrets(text)) };
}

/** The environment may get variables from a .env file after the first error was shown. */
const freshMs = 100;
const current: { redactor: Redactor | undefined; until: number } = { redactor: undefined, until: 0 };

function redactor(): Redactor {
  if (!current.redactor || performance.now() > current.until) {
    current.redactor = createRedactor(process.env);
    current.until = performance.now() + freshMs;
  }
  return current.redactor;
}

/** Secrets hidden, of this process's environment and by their look; addresses stay. */
export function hideSecrets(text: string): string {
  return redactor().secrets(text.length > readAtMost ? text.slice(0, readAtMost) : text);
}

/** Text of an error as it may be stored and shown: redacted, well-formed, without U+0000, at most `most` characters. */
export function cleanError(text: string, most = keptOfError): string {
  const bounded = text.length > readAtMost ? text.slice(0, readAtMost) : text;
  return storable(redactor().text(bounded), most);
}

/** Any text as Postgres can store it: well-formed, without U+0000, bounded. What breaks a payload must not break a failure's record too. */
export function storable(text: string, most = keptOfError): string {
  const clean = text
    .slice(0, most + 1)
    .toWellFormed()
    .replaceAll('\0', '\u2400');
  return clean.length <= most ? clean : `${clean.slice(0, most - 1).toWellFormed()}…`;
}
