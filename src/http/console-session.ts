// Who is at the console: a person with a session, or one whom the application's own sign-in knows. Signing in, signing out, and the link that signs a
// developer in.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { CheckPayload } from '../acts/copy.ts';
import { roles } from '../config/admin-keys.ts';
import { endSessionIn, isEnded } from '../console/ended.ts';
import {
  ofSession,
  readLink,
  readSession,
  sealSession,
  sessionMs,
  type Session,
} from '../console/session.ts';
import { nextOf, signInPage } from '../console/sign-in.ts';
import type { App } from '../define/app.ts';
import { WaybillError } from '../errors.ts';
import { recordAct } from '../operate/audit.ts';
import type { Host } from '../process/host.ts';
import { isFromHere } from './origin.ts';
import { personOf, type WrongKeys } from './people.ts';
import type { Watch } from './change-watch.ts';

export type ConsolePorts = {
  readonly host: Host;
  readonly app: App;
  readonly notify: () => void;
  readonly wrongKeys: WrongKeys;
  readonly watch: Watch;
  readonly check: CheckPayload;
  readonly unknown: Refuse;
};

/** Throws what is said of a path that has no page, or takes other methods. */
export type Refuse = (request: FastifyRequest, reply: FastifyReply) => never;

const cookieName = 'waybill_console';

/** The value of one of the request's cookies. */
export function cookieOf({ headers: { cookie = '' } }: FastifyRequest, name: string): string | undefined {
  const found = cookie.split(/; */).find((pair) => pair.startsWith(`${name}=`));
  return found?.slice(name.length + 1);
}

/** @param seconds how long the browser keeps it; 0: not at all */
export function setCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  name: string,
  value: string,
  seconds: number,
): void {
  const forwarded = request.headers['x-forwarded-proto'];
  const isSecure =
    request.protocol === 'https' || (typeof forwarded === 'string' && /^https\b/.test(forwarded));
  const parts = [`${name}=${value}`, 'Path=/console', `Max-Age=${seconds}`, 'HttpOnly', 'SameSite=Strict'];
  const all = [reply.getHeader('set-cookie') ?? []].flat().map(String);
  void reply.header('set-cookie', [...all, [...parts, ...(isSecure ? ['Secure'] : [])].join('; ')]);
}

const noteName = 'waybill_done';

/** The next page says it, once. */
export function saying(request: FastifyRequest, reply: FastifyReply, said: string): void {
  setCookie(request, reply, noteName, encodeURIComponent(said), 20);
}

/** What was to be said; it is not said again. */
export function takeSaid(request: FastifyRequest, reply: FastifyReply): string | undefined {
  const said = cookieOf(request, noteName);
  if (said === undefined || said === '') return undefined;
  setCookie(request, reply, noteName, '', 0);
  try {
    return decodeURIComponent(said).slice(0, 400);
  } catch {
    return undefined; // edited by hand
  }
}

/** Why a person without a session is at the sign-in page. */
export class NotSignedIn extends Error {
  override readonly name = 'NotSignedIn';
  readonly why: string | null;
  constructor(why: string | null) {
    super(why ?? 'nobody is signed in');
    this.why = why;
  }
}

const reasons = {
  absent: null,
  invalid:
    'This session is not valid here: the admin key has changed, or the cookie was edited. Sign in again.',
  expired: 'This session has ended after 12 hours. Sign in again.',
} as const;

/** @throws NotSignedIn, WaybillError `admin_closed`, `invoker_invalid` */
export async function sessionOf(request: FastifyRequest, { host, app }: ConsolePorts): Promise<Session> {
  const known = await ofApplication(request, app, host);
  if (known !== null) return known;
  const { adminKeys } = host.config;
  if (adminKeys.length === 0 && app.console === undefined)
    throw new WaybillError('admin_closed', 'the console is closed: set WAYBILL_ADMIN_KEY to open it');
  const session = readSession(cookieOf(request, cookieName), adminKeys, Date.now());
  if (typeof session === 'string') throw new NotSignedIn(reasons[session]);
  if (await isEnded(host.db, session.id))
    throw new NotSignedIn('This session was signed out. Sign in again.');
  return session;
}

const identity = z.strictObject({ name: z.string().min(1).max(100), role: z.enum(roles) });

async function ofApplication(request: FastifyRequest, app: App, { config }: Host): Promise<Session | null> {
  if (app.console === undefined) return null;
  const { method, headers } = request;
  const given = await app.console.authenticate({ method, path: request.url.split('?')[0] ?? '/', headers });
  if (given === null || given === undefined) return null;
  const person = identity.safeParse(given);
  if (!person.success)
    throw new WaybillError(
      'invoker_invalid',
      `console.authenticate must give null for nobody, or { name, role } with a role of ${roles.join(', ')}`,
    );
  const { name, role } = person.data;
  const secret = config.adminKeys[0]?.key ?? config.databaseUrl;
  const id = `application:${name}`;
  return { id, by: name, key: null, role, ...ofSession(secret, id), until: Infinity };
}

const credentials = z.strictObject({
  name: z
    .string()
    .transform((text) => text.replaceAll(/\p{C}/gu, '').trim())
    .pipe(z.string().min(1).max(100)),
  key: z.string().max(256),
  next: z.string().default('/console'),
});

export function addSignIn(server: FastifyInstance, ports: ConsolePorts): void {
  const { host, wrongKeys } = ports;
  server.get('/console/sign-in', async (request, reply) =>
    reply.send(signInPage({ why: null, next: nextOf((request.query as { next?: unknown }).next) })),
  );
  server.post('/console/sign-in', async (request, reply) => {
    if (!isFromHere(request, host.config.knownHosts))
      throw new WaybillError('cross_site', 'the sign-in must come from the page of the console itself');
    const { name, key, next } = await parseArguments(
      { name: 'sign-in', args: credentials },
      request.body ?? {},
    );
    const { adminKeys } = host.config;
    const person = personOf(`Bearer ${key}`, adminKeys);
    if (person === undefined) {
      await wrongKeys.met(request.ip);
      const why = 'No admin key is like this. Look at WAYBILL_ADMIN_KEY or WAYBILL_ADMIN_KEYS of web.';
      return reply.code(401).send(signInPage({ why, next: nextOf(next), name }));
    }
    await begin(request, reply, ports, name, key);
    return reply.redirect(nextOf(next), 303);
  });
  server.get('/console/enter', { exposeHeadRoute: false }, (request, reply) => enter(request, reply, ports));
}

/** With a link that does not work, whoever is signed in already goes on. */
async function enter(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: ConsolePorts,
): Promise<FastifyReply> {
  const { host } = ports;
  const link = await takeLink(request, host);
  if (typeof link === 'string') {
    if (await isSignedIn(request, ports)) return reply.redirect('/console', 303);
    throw new NotSignedIn(`${linkReasons[link]} Sign in with the key.`);
  }
  const key =
    host.config.adminKeys.find(({ name, role }) => name === link.key && role === link.role)?.key ?? '';
  await begin(request, reply, ports, link.by, key);
  return reply.redirect('/console', 303);
}

const linkReasons = {
  away: 'A link like this works on the machine of web alone, and not in production.',
  absent: 'This link has no token: it was cut.',
  invalid: 'This link is not valid here: the admin key has changed, or the link was cut.',
  expired: `This link has expired: it works for ${sessionMs / 3_600_000} hours.`,
  used: 'This link was used before: it works once.',
} as const;

/** What the link says of its person, who can use it no more; or why it does not work. */
async function takeLink(request: FastifyRequest, host: Host): Promise<Session | keyof typeof linkReasons> {
  const { config } = host;
  if (!isLoopback(request) || config.production) return 'away';
  const link = readLink((request.query as { token?: string }).token, config.adminKeys, Date.now());
  if (typeof link === 'string') return link;
  return (await endEverywhere(host, link)) ? link : 'used';
}

async function isSignedIn(request: FastifyRequest, ports: ConsolePorts): Promise<boolean> {
  try {
    await sessionOf(request, ports);
    return true;
  } catch (error) {
    if (error instanceof NotSignedIn) return false;
    throw error;
  }
}

/** Links work on the developer's machine only. */
function isLoopback({ ip }: FastifyRequest): boolean {
  return ip === '::1' || /^(?:::ffff:)?127\./.test(ip);
}

async function begin(
  request: FastifyRequest,
  reply: FastifyReply,
  { host }: ConsolePorts,
  by: string,
  given: string,
): Promise<void> {
  const key = host.config.adminKeys.find((one) => one.key === given)!;
  const actor = { by, key: key.name, via: 'console', requestId: request.id, reason: null } as const;
  await recordAct(host.db, actor, { act: 'session.start', detail: { role: key.role } });
  setCookie(request, reply, cookieName, sealSession(key, by, Date.now()), sessionMs / 1_000);
}

export async function signOut(
  request: FastifyRequest,
  reply: FastifyReply,
  { host }: ConsolePorts,
  session: Session,
): Promise<void> {
  if (session.key !== null) await endEverywhere(host, session);
  setCookie(request, reply, cookieName, '', 0);
}

function endEverywhere({ all, log }: Host, session: Session): Promise<boolean> {
  const databases = all.map(({ db }) => db);
  return endSessionIn(databases, session, (err) =>
    log.warn({ err }, 'a database is away: a signed-out session is not known there, and ends by its time'),
  );
}
