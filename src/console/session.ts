// Sessions of the console: a person signs in with an admin key and a name, and a signed cookie says so for twelve hours. The key of the signature is
// derived from that admin key, so a key that is taken out of the configuration ends the sessions that it began.

import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { AdminKey, Role } from '../config/admin-keys.ts';
import type { Milliseconds } from '../ports.ts';

export const sessionMs: Milliseconds = 12 * 3_600_000;

export type Session = {
  readonly id: string;
  /** The person, for the audit. */
  readonly by: string;
  /** The name of the admin key; null: the application's own sign-in. */
  readonly key: string | null;
  readonly role: Role;
  /** The token that every form of this session carries. */
  readonly csrf: string;
  /** Signs addresses for this session; it never leaves the server. */
  readonly secret: string;
  /** Milliseconds of the epoch. */
  readonly until: number;
};

/** Why there is no session. */
export type Refusal = 'absent' | 'invalid' | 'expired';

type Use = 'session' | 'link';

const content = z.tuple([z.string(), z.string(), z.string(), z.number()]);

function secretOf(key: string, use: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', `waybill console ${use}`, 32));
}

function signature(secret: Buffer, text: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url');
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** @param now milliseconds of the epoch */
function seal({ key, name }: AdminKey, by: string, now: number, use: Use): string {
  const facts = [randomBytes(16).toString('base64url'), by, name, now + sessionMs];
  const text = Buffer.from(JSON.stringify(facts)).toString('base64url');
  return `${text}.${signature(secretOf(key, use), text)}`;
}

/**
 * @param by the person's name, 1 to 100 characters
 * @param now milliseconds of the epoch
 * @returns the value of the session's cookie
 */
export const sealSession = (key: AdminKey, by: string, now: number): string => seal(key, by, now, 'session');

/** @returns the token of a link that signs its person in, once */
export const sealLink = (key: AdminKey, by: string, now: number): string => seal(key, by, now, 'link');

export const readSession = (
  sealed: string | undefined,
  keys: readonly AdminKey[],
  now: number,
): Session | Refusal => open(sealed, keys, now, 'session');

export const readLink = (
  sealed: string | undefined,
  keys: readonly AdminKey[],
  now: number,
): Session | Refusal => open(sealed, keys, now, 'link');

function open(
  sealed: string | undefined,
  keys: readonly AdminKey[],
  now: number,
  use: Use,
): Session | Refusal {
  if (sealed === undefined || sealed === '') return 'absent';
  const [, text = '', signed = ''] = /^([\w-]{1,2000})\.([\w-]{43})$/.exec(sealed) ?? [];
  const maker = keys.find(({ key }) => isSame(signature(secretOf(key, use), text), signed));
  if (maker === undefined) return 'invalid';
  const [id, by, key, until] = content.parse(JSON.parse(Buffer.from(text, 'base64url').toString()));
  if (key !== maker.name) return 'invalid'; // the key has another name now
  if (until <= now) return 'expired';
  return { id, by, key, role: maker.role, ...ofSession(maker.key, id), until };
}

/** @param secret the admin key, or what else only the server knows */
export function ofSession(secret: string, sessionId: string): Pick<Session, 'csrf' | 'secret'> {
  return { csrf: tokenOf(secret, sessionId), secret: signature(secretOf(secret, 'address'), sessionId) };
}

function tokenOf(secret: string, sessionId: string): string {
  return signature(secretOf(secret, 'form'), sessionId);
}

export function isToken(given: unknown, { csrf }: Session): boolean {
  return typeof given === 'string' && isSame(given, csrf);
}

/** The contents of a message that a person asked to see can be loaded for so long. */
const ticketMs: Milliseconds = 15 * 60_000;

/**
 * A ticket for the contents of one message: it works in this session alone, for a quarter of an hour.
 * @param now milliseconds of the epoch
 */
export function ticketFor({ secret }: Session, message: string, now: number): string {
  const until = (now + ticketMs).toString(36);
  return `${until}.${signature(Buffer.from(secret), `${until} ${message}`)}`;
}

export function isTicket(given: unknown, { secret }: Session, message: string, now: number): boolean {
  if (typeof given !== 'string') return false;
  const [, until = '', signed = ''] = /^([0-9a-z]{1,12})\.([\w-]{43})$/.exec(given) ?? [];
  return isSame(signature(Buffer.from(secret), `${until} ${message}`), signed) && parseInt(until, 36) > now;
}
