// The page Failures: dead and retrying messages in groups of the same error, name and cause, the largest first.

import { z } from 'zod';
import type { Moment } from '../db/moment.ts';
import { listMessages, type MessageView } from '../operate/read.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { flagsOf } from './messages.ts';
import { get } from './command.ts';
import { number, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { address, parametersOf, type Look, type Page, type View } from './page.ts';
import { statusPill } from './status.ts';
import { table, type Column } from './table.ts';

export const failuresPage: Page = { path: '/console/failures', place: 'failures', look };

const windows = { '1h': 3_600_000, '24h': 86_400_000, '7d': 604_800_000 } as const;
type Window = keyof typeof windows;

const parameters = z.strictObject({ window: z.enum(['1h', '24h', '7d']).default('24h') });

/** As many messages are grouped. */
const most = 500;

type Group = {
  readonly error: string;
  readonly messages: MessageView[];
};

const columns: readonly Column<Group>[] = [
  { head: 'Error', as: 'lead', cell: ({ error }) => shown(error, 200) },
  {
    head: 'Name',
    as: 'whole',
    cell: ({ messages: [one] }) =>
      markup`${shown(one!.name, 80)}<small>${one!.kind} · <code>${shown(one!.queue, 60)}</code></small>`,
  },
  {
    head: 'State',
    as: 'tight',
    cell: ({ messages: [one] }) =>
      markup`${statusPill(one!)}${one!.cause === null ? null : markup`<small>${one!.cause}</small>`}`,
  },
  {
    head: 'Messages',
    as: 'n',
    cell: (group) => markup`<a href="${listOf(group)}">${number(group.messages.length)}</a>`,
  },
  { head: 'First', as: 'n wide', cell: ({ messages: all }) => relative(all.at(-1)!.createdAt) },
  { head: 'Last', as: 'n', cell: ({ messages: all }) => relative(all[0]!.createdAt) },
  { head: 'Samples', as: 'wide', cell: samples },
];

async function look(asked: Look): Promise<View> {
  const { window } = await parametersOf(parameters, asked);
  const since = new Date(Date.now() - windows[window]);
  const { messages, nextCursor } = await listMessages(asked.db, {
    status: ['dead', 'failed'],
    since,
    limit: most,
  });
  const groups = grouped(messages);
  const bound = nextCursor === null ? '' : ` Of the newest ${number(most)} messages.`;
  const content = markup`<h1>Failures</h1>${tabs(window)}
    <p class="meta">Messages recorded in this time that are dead or retried, by error, name and cause.${bound}</p>
    ${table('Failures', groups, columns, {
      empty: markup`No message has failed in this time.`,
      href: listOf,
      id: ({ error, messages: [one] }) => `${one!.name} ${one!.status} ${error}`,
    })}`;
  const filter = { status: ['dead', 'failed'], since: since.toISOString() };
  const query = new URLSearchParams([
    ['status', 'dead'],
    ['status', 'failed'],
    ['since', since.toISOString()],
  ]);
  return {
    title: 'Failures',
    content,
    commands: [{ cli: `waybill outbox list${flagsOf(filter)}`, http: get(`/outbox?${query.toString()}`) }],
  };
}

function tabs(window: Window): Markup {
  return markup`<nav class="tabs" aria-label="Time">${Object.keys(windows).map(
    (name) =>
      markup`<a href="/console/failures?window=${name}"${name === window ? markup` aria-current="page"` : null}>${name}</a>`,
  )}</nav>`;
}

/** The same error for every message: numbers, ids and quoted words are left out. */
export function normalised(error: string): string {
  return error
    .slice(0, 500)
    .replaceAll(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/gi, '…')
    .replaceAll(/"[^"]{0,200}"|'[^']{0,200}'/g, '"…"')
    .replaceAll(/\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b/gi, '…')
    .replaceAll(/\d+/g, '#');
}

function grouped(messages: readonly MessageView[]): Group[] {
  const groups = new Map<string, Group>();
  for (const message of messages) {
    const error = normalised(maskAddresses(message.lastError ?? 'without an error'));
    const key = JSON.stringify([error, message.name, message.status, message.cause]);
    const group = groups.get(key) ?? { error, messages: [] };
    group.messages.push(message);
    groups.set(key, group);
  }
  return [...groups.values()].toSorted((a, b) => b.messages.length - a.messages.length);
}

function listOf({ messages: [one] }: Group): string {
  const cause = one!.cause === null ? '' : ` cause:${one!.cause}`;
  return address('/console/messages', { q: `name:${one!.name}${cause}`, status: one!.status });
}

function samples({ messages }: Group): Markup {
  return markup`${messages.slice(0, 3).map(({ id, createdAt }, i) => markup`${i > 0 ? ' ' : ''}<a href="/console/messages/${id}" title="${titleOf(createdAt)}"><code>…${id.slice(-8)}</code></a>`)}`;
}

function titleOf(at: Moment): string {
  return at instanceof Date ? at.toISOString() : at;
}
