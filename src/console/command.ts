// The command and the request that give or do the same as a page: they stand under it, ready to be copied.

import { markup, type Markup } from './markup.ts';
import type { Command } from './page.ts';

/** One word of a shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** @param path under /admin */
export function get(path: string, parameters: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(parameters).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const query = new URLSearchParams(given).toString();
  return `curl -H "Authorization: Bearer $WAYBILL_ADMIN_KEY" "$WAYBILL_URL"${quoted(`/admin${path}${query ? `?${query}` : ''}`)}`;
}

/** @param path under /admin */
export function post(path: string, body: object = {}): string {
  return `curl -X POST -H "Authorization: Bearer $WAYBILL_ADMIN_KEY" -H 'content-type: application/json' -d ${quoted(JSON.stringify(body))} "$WAYBILL_URL"${quoted(`/admin${path}`)}`;
}

export function commandLines(commands: readonly Command[]): Markup {
  if (commands.length === 0) return markup``;
  return markup`<p class="cli" aria-label="The same on the command line and over HTTP">${commands.map(
    ({ cli, http }) => markup`<code>${cli}</code>${http === '' ? null : markup`<code>${http}</code>`}`,
  )}</p>`;
}
