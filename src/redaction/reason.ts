// An error as one sentence that may be stored and shown. It has the messages of the error and its causes, without data that a statement, a schema or
// a driver repeats.

import { z } from 'zod';
import { cleanError } from './redact.ts';
import { placeOf } from './place.ts';

/** Limits on the depth of causes and on the number of errors side by side. */
const deepest = 6;
const widest = 4;

/** One error of a chain: its name, its own words, its causes, and the error itself. */
export type Link = {
  readonly name: string;
  readonly words: string;
  readonly below: readonly Link[];
  readonly error: unknown;
};

/** Ends even when errors contain each other. Throws what a getter throws (src/delivery/failure.ts catches it). */
export function linkOf(thrown: unknown, depth = 0, seen: ReadonlySet<unknown> = new Set()): Link {
  if (!isError(thrown)) return { name: '', words: wordsOfOther(thrown), below: [], error: thrown };
  const below =
    depth >= deepest ? [] : causesOf(thrown).filter((cause) => !seen.has(cause) && cause !== thrown);
  const links = below.slice(0, widest).map((cause) => linkOf(cause, depth + 1, new Set([...seen, thrown])));
  const more = below.length - links.length;
  const rest = more > 0 ? [{ name: '', words: `${more} more`, below: [], error: undefined }] : [];
  return {
    name: nameOf(thrown),
    words: wordsOf(thrown, links.length > 0),
    below: [...links, ...rest],
    error: thrown,
  };
}

/** `message: cause: cause of the cause`. Causes that the outer message already repeats are left out. */
export function chainOf({ words, below, name }: Link): string {
  const causes = [...new Set(below.map(chainOf))].filter((one) => one !== '' && !words.includes(one));
  if (words === '') return causes.join('; ') || name || 'an error without words';
  return causes.length === 0 ? words : `${words}: ${causes.join('; ')}`;
}

/** The chain, with the place in the application's code where it began. `bare`: without the place. */
export function reasonOf(thrown: unknown, { bare = false } = {}): string {
  const link = linkOf(thrown);
  const text = cleanError(chainOf(link));
  const place = bare ? undefined : placeIn(link);
  return place === undefined ? text : cleanError(`${text} (at ${place})`);
}

/** The place of the error itself or, if it began in a library, of its causes. */
function placeIn({ error, below }: Link): string | undefined {
  const own = isError(error) ? placeOf(error.stack) : undefined;
  if (own !== undefined) return own;
  for (const link of below) {
    const found = placeIn(link);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** True also for errors of another realm, such as a worker's or a test's. */
function isError(value: unknown): value is Error {
  return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';
}

function causesOf(error: Error): unknown[] {
  const { cause, errors, suppressed } = error as Error & { errors?: unknown; suppressed?: unknown };
  const inner = (error as { error?: unknown }).error;
  return [
    ...(Array.isArray(errors) && error.name !== 'ZodError' ? (errors as unknown[]) : []),
    ...(cause === undefined || cause === null ? [] : [cause]),
    ...(suppressed === undefined ? [] : [suppressed, ...(isError(inner) ? [inner] : [])]),
  ];
}

function nameOf({ name }: Error): string {
  return typeof name === 'string' && name !== '' ? name : 'Error';
}

function wordsOf(error: Error, hasCause: boolean): string {
  const message: unknown = error.message; // it may be of any type
  if (typeof message !== 'string') return `${nameOf(error)}: ${describe(message)}`;
  const issues = issuesOf(error);
  if (issues !== undefined) return `not valid: ${issues}`;
  const words = withoutData(error, message, hasCause).trim();
  return words === '' ? '' : withCode(error, words);
}

/** Adds a code that can be looked up: `ECONNREFUSED`, `UND_ERR_SOCKET`, `23505`. Codes of our own errors are named where these are shown. */
function withCode(error: Error, words: string): string {
  const { code } = error as { code?: unknown };
  if (
    typeof code !== 'string' ||
    words.includes(code) ||
    !/^(?:[A-Z][A-Z0-9_]{2,60}|[0-9][0-9A-Z]{4})$/.test(code)
  )
    return words;
  return `${words} (${code})`;
}

/** What is wrong with a payload: the path and the expectation, never the value. */
export function issuesOf(error: unknown): string | undefined {
  const { issues, name } = (error ?? {}) as { issues?: unknown; name?: unknown };
  const isZod = error instanceof z.core.$ZodError || (typeof name === 'string' && /^\$?ZodError$/.test(name));
  if (!isZod || !Array.isArray(issues)) return undefined;
  return (issues as { path?: unknown; message?: unknown }[])
    .slice(0, 20)
    .map(({ path, message }) => {
      const words = String(message).replaceAll(/, received '[^']*'/g, ''); // zod 3
      return Array.isArray(path) && path.length > 0 ? `${path.map(String).join('.')}: ${words}` : words;
    })
    .join('; ');
}

type Driver = {
  readonly code?: unknown;
  readonly severity?: unknown;
  readonly detail?: unknown;
  readonly generatedMessage?: unknown;
};

/** A message without the statement, parameters or unreadable text that it repeats. */
function withoutData(error: Error, message: string, hasCause: boolean): string {
  const { code, severity, detail, generatedMessage } = error as Driver;
  if (/^Drizzle\w*Error$/.test(error.name) || /^Failed query:[^]*\nparams:/.test(message))
    return hasCause ? '' : 'a query failed';
  if (error.name.startsWith('PrismaClient')) return fromPrisma(message);
  if (typeof code === 'string' && typeof severity === 'string')
    return [fromPostgres(message, code), withoutValues(detail)].filter((one) => one !== '').join('; ');
  if (typeof code === 'string' && code.startsWith('ERR_INVALID_ARG')) return message.split('. Received')[0]!;
  if (generatedMessage === true) return message.split('\n', 1)[0]!.replace(/:$/, '');
  if (error.name === 'SyntaxError')
    return message.replace(/, (?:\.\.\.)?"[^]*"(?:\.\.\.)? is not valid JSON$/, ' in JSON');
  return message;
}

/** Prisma puts the call with its data first and the reason last, with Postgres's code in it. */
function fromPrisma(message: string): string {
  const reason = message.trimEnd().split('\n').at(-1)!.trim();
  return fromPostgres(reason, /Code: `(\w{5})`/.exec(reason)?.[1] ?? '');
}

/** In a data exception (class 22) Postgres quotes the value. Knex and MikroORM put the statement with its values before the message. */
function fromPostgres(message: string, code: string): string {
  const statement = /^\s*(?:with|select|insert|update|delete|merge|call|truncate|create|alter|drop)\b/i.test(
    message,
  );
  const at = statement ? message.lastIndexOf(' - ') : -1;
  const words = at === -1 ? message : message.slice(at + 3);
  return code.startsWith('22') ? words.replaceAll(/"[^"]*"/g, '"…"') : words;
}

/**
 * `Key (email)=(ann@b.test) already exists.` → `Key (email) already exists`. Lines about processes that wait for each other stay. Other details are
 * data.
 */
function withoutValues(detail: unknown): string {
  if (typeof detail !== 'string') return '';
  if (/^Process \d+ waits for /.test(detail)) return detail.replaceAll('\n', ' ').replace(/\.$/, '');
  const [begin, end] = [detail.indexOf(')=('), detail.lastIndexOf(')')];
  if (!detail.startsWith('Key (') || begin === -1) return '';
  return `${detail.slice(0, begin + 1)}${detail.slice(end + 1)}`.replace(/\.$/, '');
}

function wordsOfOther(thrown: unknown): string {
  if (typeof thrown === 'string' && thrown !== '') return thrown;
  const { message } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as { message?: unknown };
  if (typeof message === 'string' && message !== '')
    return `${message} (thrown as an object that is no Error)`;
  return `threw ${describe(thrown)}, which is no Error`;
}

function describe(value: unknown): string {
  if (typeof value === 'string') return 'an empty text';
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    return JSON.stringify(value) ?? 'an object';
  } catch {
    return 'an object that cannot be shown'; // a cycle, or a toJSON that throws: the failure must still be recorded
  }
}
