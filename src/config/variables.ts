// Readers of single environment variables. Each reports its problem and returns a usable value, so that all problems are found at once.

import { isIP } from 'node:net';
import { parseAddress } from '../address/mailbox.ts';
import { readPostgresUrl } from '../db/url.ts';
import { nearest } from '../nearest.ts';
import type { Milliseconds } from '../ports.ts';
import { parseDuration } from '../duration.ts';
import { isSmtpName } from '../smtp/name.ts';
import { readSmtpUrl, SmtpUrlError } from '../smtp/server.ts';

export type Problem = { readonly variable: string; readonly message: string };

type Env = Readonly<Record<string, string | undefined>>;

/** Set by a supervisor, not by a person. */
const internal = ['WAYBILL_SUPERVISED'];

export function reader(env: Env, report: (variable: string, message: string) => void) {
  const asked = new Set<string>(internal);

  function raw(name: string): string | undefined {
    asked.add(name);
    const value = env[name];
    return value === undefined || value === '' ? undefined : value;
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
    refused: Readonly<Record<string, string>> = {},
  ): T | F {
    const value = text(name);
    if (value === undefined) return fallback;
    const found = allowed.find((one) => one === value);
    if (found !== undefined) return found;
    const meant = nearest(value, allowed);
    report(
      name,
      refused[value] ?? `must be one of ${allowed.join(', ')}${meant ? `; was ${meant} meant?` : ''}`,
    );
    return fallback;
  }

  /** A bearer key of printable characters without spaces; in production too long to guess. Messages never repeat it. */
  function key(name: string, least: number): string | null {
    const value = text(name);
    if (value === undefined) return null;
    if (!/^[\x21-\x7e]{1,256}$/.test(value) || value.length < least)
      report(name, `must have ${least} to 256 printable characters without spaces`);
    return value;
  }

  /** `a@b.test` or `Ann <a@b.test>`. The same reader checks the sender of each email. */
  function sender(name: string): string | null {
    const value = text(name);
    if (value === undefined) return null;
    const parsed = parseAddress(value);
    if (!('address' in parsed))
      report(
        name,
        `must be an address such as orders@shop.example or Orders <orders@shop.example>: ${parsed.message}`,
      );
    return value;
  }

  /** A number above 0, with or without a fraction. */
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

  /** Also reads the file that the URL names; otherwise only the first email would find that it is missing. */
  function smtpUrl(name: string): string | undefined {
    const value = text(name);
    if (value === undefined) return undefined;
    try {
      readSmtpUrl(value);
      return value;
    } catch (error) {
      if (!(error instanceof SmtpUrlError)) throw error;
      report(name, error.message);
      return undefined;
    }
  }

  function smtpName(name: string): string | null {
    const value = text(name);
    if (value === undefined || isSmtpName(value)) return value ?? null;
    report(
      name,
      'must be a full domain name such as mail.shop.example, or an address in brackets such as [192.0.2.1]',
    );
    return null;
  }

  /** The URL of an HTTP API. Plain http is allowed only on this machine. */
  function webUrl(name: string): string | undefined {
    const value = text(name);
    if (value === undefined) return undefined;
    const parsed = URL.canParse(value) ? new URL(value) : undefined;
    if (!parsed || !['https:', 'http:'].includes(parsed.protocol))
      report(name, 'must be a URL like https://api.example.com');
    else if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname))
      report(name, 'must begin with https://: the key would go over the network in clear');
    else if (parsed.username + parsed.password + parsed.search + parsed.hash !== '')
      report(name, 'must have no user, password or parameters');
    else if (parsed.port === '0') report(name, 'names port 0');
    else return withoutSlashes(parsed.href);
    return undefined;
  }

  /** In the format of Standard Webhooks. Messages never repeat it. */
  function signingSecret(name: string, least: number): string | null {
    const value = text(name);
    if (value === undefined) return null;
    const base64 = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(
      value,
    )?.[1];
    const bytes = base64 === undefined ? 0 : Buffer.from(base64, 'base64').length;
    if (base64 === undefined || bytes === 0)
      report(name, 'must be whsec_ and base64, as the page of the webhook shows it');
    else if (bytes < least)
      report(
        name,
        `has ${bytes} bytes after whsec_; production needs ${least} at least, which nobody can guess`,
      );
    else return value;
    return null;
  }

  /** Node silently uses UTC for an unknown zone. */
  function timeZone(name: string): void {
    const value = text(name);
    if (value === undefined || /^:?\//.test(value)) return; // a file, as the C library reads it
    try {
      new Intl.DateTimeFormat('en', { timeZone: value.replace(/^:/, '') });
    } catch {
      report(name, 'is no time zone: it must be a name such as UTC or Europe/Berlin');
    }
  }

  /** A name or an address to listen on. */
  function host(name: string): string | null {
    const value = text(name);
    if (value === undefined) return null;
    if (isIP(value) !== 0 || /^(?!\d+$)[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(value))
      return value;
    report(
      name,
      'must be an address or a name of this machine, such as 127.0.0.1, :: or localhost, without a port',
    );
    return null;
  }

  return {
    isSet: (name: string) => raw(name) !== undefined,
    text,
    integer,
    duration,
    choice,
    key,
    sender,
    rate,
    list,
    webUrl,
    signingSecret,
    host,
    timeZone,
    postgresUrl(name: string): string | undefined {
      const value = text(name);
      if (value === undefined) return undefined;
      const parsed = readPostgresUrl(value);
      if (!('problem' in parsed)) return value;
      report(name, parsed.problem);
      return undefined;
    },
    smtpUrl,
    smtpName,
    /** Variables with this prefix that no reader was called for. */
    unknown(prefix: string, each: (name: string, known: string[]) => void): void {
      for (const name of Object.keys(env))
        if (name.startsWith(prefix) && !asked.has(name)) each(name, [...asked]);
    },
  };
}

function withoutSlashes(text: string): string {
  let end = text.length;
  while (text[end - 1] === '/') end -= 1;
  return text.slice(0, end);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}
