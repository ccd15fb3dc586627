// The command and the request that give or do the same as a page: they stand under it, ready to be copied.

import { markup, type Markup } from './markup.ts';
import { addressOf } from './addresses.ts';
import type { Command, HttpCommand } from './page.ts';

/** One word of a shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** @param path under /admin */
export function get(
  path: string,
  parameters: Readonly<Record<string, string | undefined>> = {},
): HttpCommand {
  const given = Object.entries(parameters).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const query = new URLSearchParams(given).toString();
  return {
    options: '-H "Authorization: Bearer $WAYBILL_ADMIN_KEY"',
    path: `/admin${path}${query ? `?${query}` : ''}`,
  };
}

/** @param path under /admin */
export function post(path: string, body: object = {}): HttpCommand {
  return {
    options: `-X POST -H "Authorization: Bearer $WAYBILL_ADMIN_KEY" -H 'content-type: application/json' -d ${quoted(JSON.stringify(body))}`,
    path: `/admin${path}`,
  };
}

/** @param database the one of several that the page is of; null: there is only one */
export function commandLines(commands: readonly Command[], database: string | null = null): Markup {
  if (commands.length === 0) return markup``;
  return markup`<p class="cli" aria-label="The same on the command line and over HTTP">${commands.map(
    ({ cli, http }) =>
      markup`<code>${database === null ? cli : `${cli} --database ${database}`}</code>${http === null ? null : markup`<code>${httpLine(http, database)}</code>`}`,
  )}</p>`;
}

function httpLine({ options, path }: HttpCommand, database: string | null): string {
  return `curl ${options} "$WAYBILL_URL"${quoted(database === null ? path : addressOf(path, database))}`;
}
