// The frame of every page of the console: places at the left, the search at the top, and the content security policy.

import { liveScript, script, style } from './assets.ts';
import { addressOf } from './addresses.ts';
import { commandLines } from './command.ts';
import { shown } from './figures.ts';
import { hiddenToken } from './act-form.ts';
import { markup, type Markup } from './markup.ts';
import { places, type PlaceName, type View } from './page.ts';
import { tokens } from './search.ts';
import type { Session } from './session.ts';

/** Nothing in the page itself runs, and nothing comes from elsewhere. */
export const pagePolicy = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

export type Frame = {
  /** Null: nobody is signed in, as in the inbox. */
  readonly session: Session | null;
  readonly place: PlaceName | 'inbox' | null;
  /** False: the console is closed, so that the inbox is the only place. */
  readonly isOpen?: boolean;
  /** Where an inbox is: it has a link. */
  readonly inbox: boolean;
  /** Of a page that is of one of several databases: all names, and its own. */
  readonly databases?: Databases | null;
  /** What an act has just done. */
  readonly done?: string | undefined;
  /** What the page has seen, and how many statements it took. Without `seen` it has no stream; null: it stays as it is. */
  readonly live: { readonly seen?: string; readonly cost: number } | null;
};

export type Databases = { readonly names: readonly string[]; readonly current: string };

/** A whole page. */
export function framed(view: View, frame: Frame): string {
  const { title, content, commands, search = '' } = view;
  const { isOpen = true, done, databases = null } = frame;
  return html(
    databases === null ? title : `${title} · ${databases.current}`,
    markup`<body${view.live === false ? null : keptLive(frame)}>
      <a class="skip" href="#main">Skip to the content</a>${navigation(frame)}
      <main id="main">
        <div class="top">${isOpen ? searchForm(search) : null}
          <span class="age" id="age">${clockNow()}</span></div>
        <div id="live">${done ? markup`<p class="done" role="status">${done}</p>` : null}${content}${commandLines(commands, databases?.current)}</div>
      </main>${keysDialog}</body>`,
  );
}

function keptLive({ live }: Frame): Markup | null {
  if (live === null) return null;
  const seen = live.seen === undefined ? null : markup` data-seen="${live.seen}"`;
  return markup` data-live="5"${seen} data-cost="${live.cost}"`;
}

/** Leads to the same place of another database. */
function databaseSwitch({ names, current }: Databases, place: Frame['place']): Markup {
  const [, , home = '/console'] = places.find(([name]) => name === place) ?? [];
  const there = place === 'inbox' ? '/inbox' : home;
  const link = (name: string): Markup =>
    markup`<a href="${addressOf(there, name)}"${name === current ? markup` aria-current="true"` : null}>${name}</a>`;
  return markup`<div class="databases" role="group" aria-label="Database">${names.map(link)}</div>`;
}

function navigation({ session, place, inbox, isOpen = true, databases = null }: Frame): Markup {
  const link = (name: string, label: string, href: string): Markup =>
    markup`<a href="${href}"${name === place ? markup` aria-current="page"` : null}>${label}</a>`;
  const who =
    session === null
      ? null
      : markup`<footer>${shown(session.by, 60)} · ${session.role}<br /><a href="/console/keys"><kbd>?</kbd> keys</a>${session.key === null ? null : signOut(session)}</footer>`;
  return markup`<nav class="places" aria-label="Console"><b>Waybill</b>${databases === null ? null : databaseSwitch(databases, place)}
        ${isOpen ? places.map(([name, label, href]) => link(name, label, href)) : null}
        ${inbox ? link('inbox', 'Inbox', '/inbox') : null}${who}</nav>`;
}

function searchForm(search: string): Markup {
  return markup`<form action="/console/messages" role="search"><input type="search" name="q" value="${search}" maxlength="1000" aria-label="Search messages" autocomplete="off" placeholder="/  to:ann@… tag:order:4711 key:receipt-4711 or an id" list="tokens" />${suggestions}</form>`;
}

const suggestions = markup`<datalist id="tokens">${Object.keys(tokens).map((word) => markup`<option value="${word}:"></option>`)}</datalist>`;

function signOut(session: Session): Markup {
  return markup`<form method="post" action="/console/sign-out">${hiddenToken(session)}<button>Sign out</button></form>`;
}

function clockNow(): Markup {
  const iso = new Date().toISOString();
  return markup`<time datetime="${iso}">${iso.slice(11, 19)} UTC</time>`;
}

/**
 * A page without places: sign-in, and problems before it.
 * @param databases where there are several: another one may answer
 */
export function solo(title: string, content: Markup, databases: Databases | null = null): string {
  const others = databases === null ? null : databaseSwitch(databases, null);
  return html(title, markup`<body class="door"><main>${others}${content}</main></body>`);
}

function html(title: string, body: Markup): string {
  return markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8" /><meta name="viewport" content="width=device-width, initial-scale=1" />
<title>${title} · Waybill</title><meta name="robots" content="noindex" /><link rel="icon" href="data:," />
<link rel="stylesheet" href="${style.path}" /><script src="${liveScript.path}" defer></script><script src="${script.path}" defer></script></head>
${body}</html>`.markup;
}

const keys: readonly (readonly [string, string])[] = [
  ['/', 'search'],
  ...places.map(([, label, , key]) => [`g ${key}`, label] as const),
  ['j k', 'next and previous row'],
  ['x', 'select the row'],
  ['* a', 'all that match: opens the form of a bulk act'],
  ['Enter', 'open the row'],
  ['r c e p', 'open retry, cancel, end, pause or resume; sending is a second step'],
  ['u', 'times in UTC or in your zone'],
  ['.', 'stop or start refreshing'],
  ['?', 'these keys'],
];

export const keysList = markup`<dl class="keys">${keys.map(
  ([key, what]) =>
    markup`<dt>${key.split(' ').map((one) => markup`<kbd>${one}</kbd> `)}</dt><dd>${what}</dd>`,
)}</dl>`;

const keysDialog = markup`<dialog id="keys" aria-label="Keys"><h2>Keys</h2>${keysList}<form method="dialog"><button>Close</button></form></dialog>`;
