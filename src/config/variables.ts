// Readers of single environment variables. Each reports its problem and returns a usable value, so that all problems are found at once.

import { isIP } from 'node:net';
import { isKey, readAdminKey, readAdminKeys, type Report } from './admin-keys.ts';
import { parseAddress } from '../address/mailbox.ts';
import { readPostgresUrl } from '../db/url.ts';
import { nearest } from '../nearest.ts';
import { parsePayloadKeys, type PayloadKeys } from '../message/seal.ts';
import type { Milliseconds } from '../ports.ts';
import { parseDuration } from '../duration.ts';
import { isSmtpName } from '../smtp/name.ts';
import { allowRule, readAllowList } from '../webhook/allow-list.ts';
import { isLoopback, readSmtpUrl, SmtpUrlError } from '../smtp/server.ts';

export type Problem = { readonly variable: string; readonly message: string };

type Env = Readonly<Record<string, string | undefined>>;

/** Set by a supervisor, not by a person. */
const internal = ['WAYBILL_SUPERVISED'];

// oxlint-disable-next-line max-lines-per-function -- one small reader for each kind of value
export function reader(env: Env, report: Report) {
  const asked = new Set<string>(internal);

  function raw(name: string): string | undefined {
    asked.add(name);
    return env[name] || undefined;
  }

  /** Quotes and line ends come from a file that was not read by a shell. */
  function text(name: string): string | undefined {
    const value = raw(name);
    if (value === undefined) return undefined;
    if (/^(["']).*\1$/s.test(value))
      report(name, 'has quotes around it that belong to a shell, not to the value: remove them');
    else if (/[\r\n]/.test(value))
      report(name, 'holds a line break (a file with Windows line ends?): remove it');
    else if (value.trim() !== value) report(name, 'has spaces around it: remove them');
    else return value;
    return undefined;
  }

  function integer<F extends number | null>(
    name: string,
    fallback: F,
    low: number,
    high: number,
  ): number | F {
    const value = text(name);
    if (value === undefined) return fallback;
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= low && number <= high) return number;
    report(name, `must be a whole number from ${low} to ${high}, in digits`);
    return fallback;
  }

  function duration(name: string, fallback: string, low: string, high: string): Milliseconds {
    const value = parseDuration(text(name) ?? fallback);
    if (value !== undefined && value >= parseDuration(low)! && value <= parseDuration(high)!) return value;
    report(name, `must be a duration from ${low} to ${high}, such as ${fallback} (units: ms, s, m, h, d)`);
    return parseDuration(fallback)!;
  }

  function choice<T extends string, F extends T | null>(
    name: string,
    allowed: readonly T[],
    fallback: F,
    mistakes: Readonly<Record<string, T>> = {},
  ): T | F {
    const value = text(name);
    if (value === undefined) return fallback;
    const found = allowed.find((one) => one === value);
    if (found !== undefined) return found;
    const meant = new Map(Object.entries(mistakes)).get(value) ?? nearest(value, allowed);
    report(name, `must be one of ${allowed.join(', ')}${meant ? `; was ${meant} meant?` : ''}`);
    return fallback;
  }

  /** The value if it has no problem. */
  function checked(name: string, problemOf: (value: string) => string | undefined): string | null {
    const value = text(name);
    const problem = value === undefined ? undefined : problemOf(value);
    if (problem === undefined) return value ?? null;
    report(name, problem);
    return null;
  }

  /** A bearer key of printable characters without spaces; in production too long to guess. Messages never repeat it. */
  const key = (name: string, least: number): string | null =>
    checked(name, (value) =>
      isKey(value, least) ? undefined : `must have ${least} to 256 printable characters without spaces`,
    );

  function rate(name: string): number | null {
    const value = text(name);
    if (value === undefined) return null;
    const number = /^\d{1,9}(\.\d{1,6})?$/.test(value) ? Number(value) : 0;
    if (number <= 0) report(name, 'must be a number above 0, such as 10 or 0.5');
    return number;
  }

  function list(name: string, each: RegExp, rule: string): readonly string[] | null {
    const value = text(name);
    if (value === undefined) return null;
    const items = value.split(',').map((item) => item.trim());
    if (!items.every((item) => each.test(item))) report(name, `must be ${rule}`);
    return [...new Set(items)];
  }

  /** The URL of an HTTP API, without a trailing slash. */
  const webUrl = (name: string): string | null =>
    checked(name, webUrlProblem) && withoutSlashes(new URL(env[name]!).href);

  return {
    isSet: (name: string) => raw(name) !== undefined,
    text,
    integer,
    duration,
    choice,
    key,
    payloadKeys(name: string): PayloadKeys {
      const value = text(name);
      const keys = value === undefined ? [] : parsePayloadKeys(value);
      if (!('problem' in keys)) return keys;
      report(name, keys.problem);
      return [];
    },
    /** Names as a Host header has them, in lower case. */
    hosts(name: string): readonly string[] {
      const item = /^[A-Za-z0-9.-]+(?::\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](?::\d{1,5})?$/;
      const rule =
        'names as a Host header has them, such as shop.example or localhost:3000, with commas between them';
      return (list(name, item, rule) ?? []).map((one) => one.toLowerCase());
    },
    /** Receivers of webhooks that may have private addresses. */
    receivers(name: string): readonly string[] {
      const items = (text(name) ?? '').split(',').flatMap((item) => item.trim() || []);
      if (readAllowList(items)) return items;
      report(name, `must be ${allowRule}`);
      return [];
    },
    adminKey: (name: string, least: number) => readAdminKey(name, text(name), least, report),
    adminKeys: (name: string, least: number) => readAdminKeys(name, text(name), least, report),
    rate,
    list,
    webUrl,
    sender: (name: string) => checked(name, senderProblem),
    signingSecret: (name: string, least: number) => checked(name, (value) => secretProblem(value, least)),
    host: (name: string) => checked(name, hostProblem),
    timeZone: (name: string) => checked(name, timeZoneProblem),
    postgresUrl: (name: string) => checked(name, postgresProblem),
    smtpUrl: (name: string) => checked(name, smtpProblem),
    smtpName: (name: string) => checked(name, (value) => (isSmtpName(value) ? undefined : smtpNameRule)),
    /** Variables with this prefix that no reader was called for. */
    unknown(prefix: string, each: (name: string, known: string[]) => void): void {
      for (const name of Object.keys(env))
        if (name.startsWith(prefix) && !asked.has(name)) each(name, [...asked]);
    },
  };
}

/** A loop, because a pattern with `$` takes quadratic time. */
function withoutSlashes(text: string): string {
  let end = text.length;
  while (text[end - 1] === '/') end -= 1;
  return text.slice(0, end);
}

/** `a@b.test` or `Ann <a@b.test>`. The same reader checks the sender of each email. */
function senderProblem(value: string): string | undefined {
  const parsed = parseAddress(value);
  if ('address' in parsed) return undefined;
  return `must be an address such as orders@shop.example or Orders <orders@shop.example>: ${parsed.message}`;
}

function postgresProblem(value: string): string | undefined {
  const parsed = readPostgresUrl(value);
  return 'problem' in parsed ? parsed.problem : undefined;
}

/** Also reads the file that the URL names; otherwise only the first email would find that it is missing. */
function smtpProblem(value: string): string | undefined {
  try {
    readSmtpUrl(value);
    return undefined;
  } catch (error) {
    if (error instanceof SmtpUrlError) return error.message;
    throw error;
  }
}

const smtpNameRule =
  'must be a full domain name such as mail.shop.example, or an address in brackets such as [192.0.2.1]';

/** Plain http is allowed only on this machine. */
function webUrlProblem(value: string): string | undefined {
  const parsed = URL.canParse(value) ? new URL(value) : undefined;
  if (!parsed || !['https:', 'http:'].includes(parsed.protocol))
    return 'must be a URL like https://api.example.com';
  if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname.replace('[::1]', '::1')))
    return 'must begin with https://: requests would go over the network in clear';
  if (parsed.username + parsed.password + parsed.search + parsed.hash !== '')
    return 'must have no user, password or parameters';
  return parsed.port === '0' ? 'names port 0' : undefined;
}

/** In the format of Standard Webhooks. Messages never repeat it. */
function secretProblem(value: string, least: number): string | undefined {
  const [, base64 = ''] =
    /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(value) ?? [];
  const bytes = Buffer.from(base64, 'base64').length;
  if (bytes === 0) return 'must be whsec_ and base64, as the page of the webhook shows it';
  if (bytes >= least) return undefined;
  return `has ${bytes} bytes after whsec_; production needs ${least} at least, which nobody can guess`;
}

/** Node silently uses UTC for an unknown zone. */
function timeZoneProblem(value: string): string | undefined {
  if (/^:?\//.test(value)) return undefined; // a file, as the C library reads it
  try {
    new Intl.DateTimeFormat('en', { timeZone: value.replace(/^:/, '') });
    return undefined;
  } catch {
    return 'is no time zone: it must be a name such as UTC or Europe/Berlin';
  }
}

function hostProblem(value: string): string | undefined {
  if (isIP(value) !== 0 || /^(?!\d+$)[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(value))
    return undefined;
  return 'must be an address or a name of this machine, such as 127.0.0.1, :: or localhost, without a port';
}
