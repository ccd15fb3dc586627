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

/** Only paths of the console: never another site. */
export function nextOf(given: unknown): string {
  return typeof given === 'string' && /^\/console(?:[/?][^\\\r\n]{0,2000})?$/.test(given)
    ? given
    : '/console';
}

/** A browser keeps a strict cookie from a request that a link of another site began. The second request is the page's own. */
export function againPage(path: string): string {
  return markup`<!doctype html><html lang="en"><head><meta charset="utf-8" /><title>Waybill</title>
<meta http-equiv="refresh" content="0; url=${path}" /></head><body><a href="${path}">Open the console</a></body></html>`
    .markup;
}
