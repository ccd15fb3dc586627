// The page on which a person signs in, with the reason when a session has ended.

import { markup } from './markup.ts';
import { solo } from './frame.ts';

export type SignIn = {
  /** Why the person is here. */
  readonly why: string | null;
  /** Where to go afterwards; a path of the console. */
  readonly next: string;
  readonly name?: string;
};

export function signInPage({ why, next, name = '' }: SignIn): string {
  return solo(
    'Sign in',
    markup`<h1>Waybill</h1>
    ${why === null ? null : markup`<div class="say warn" role="alert">${why}</div>`}
    <form method="post" action="/console/sign-in">
      <input type="hidden" name="next" value="${next}" />
      <label>Your name, for the audit<input name="name" value="${name}" required maxlength="100" autocomplete="username" autofocus /></label>
      <label>Admin key<input name="key" type="password" required maxlength="256" autocomplete="current-password" /></label>
      <button class="main">Sign in</button>
      <small>The key is one of <code>WAYBILL_ADMIN_KEY</code> or <code>WAYBILL_ADMIN_KEYS</code>. The session lasts 12 hours.</small>
    </form>`,
  );
}

const home = '/console';

/** Addresses that sign in: to come back to one after the sign-in leads nowhere. */
const ways: readonly string[] = ['/console/enter', '/console/sign-in'];

/** Only pages of the console, as a browser would read the address: never another site, another part of this one, or the sign-in itself. */
export function nextOf(given: unknown): string {
  if (typeof given !== 'string' || !/^\/console(?:[/?][^\\\r\n]{0,2000})?$/.test(given)) return home;
  const { pathname, search, hash } = new URL(given, 'http://localhost');
  const isPage = pathname === home || pathname.startsWith(`${home}/`);
  return isPage && !ways.includes(plain(pathname)) ? `${pathname}${search}${hash}` : home;
}

/** The path as the routes read it. */
function plain(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return home; // no page has such a path
  }
}

/** A browser keeps a strict cookie from a request that a link of another site began. The second request is the page's own. */
export function againPage(path: string): string {
  return markup`<!doctype html><html lang="en"><head><meta charset="utf-8" /><title>Waybill</title>
<meta http-equiv="refresh" content="0; url=${path}" /></head><body><a href="${path}">Open the console</a></body></html>`
    .markup;
}
