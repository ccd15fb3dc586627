// The page Messages: tabs with counts, the list, and the messages that a person selected.

import { z } from 'zod';
import { parseFilter } from '../operate/filter.ts';
import { listMessages, type MessageView } from '../operate/read.ts';
import { readStats, type Stats } from '../operate/stats.ts';
import { statuses, type Status } from '../message/message.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { mayAct } from './act-form.ts';
import { get, quoted } from './command.ts';
import { number, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { address, parametersOf, type Look, type Page, type View } from './page.ts';
import { readSearch, type Parameters } from './search.ts';
import { nextOf, statusPill, statusWords } from './status.ts';
import { table, type Column } from './table.ts';

export const messagesPage: Page = { path: '/console/messages', place: 'messages', look };

const parameters = z.strictObject({
  q: z.string().max(1_000).default(''),
  status: z.enum(statuses).optional(),
  cursor: z.string().max(500).optional(),
});

/** The list that a search and a tab give. */
export function filterOf(q: string, status: Status | undefined): Parameters | { readonly id: string } {
  const search = readSearch(q, Date.now());
  if (search.kind === 'message') return { id: search.id };
  return status === undefined ? search.filter : { status, ...search.filter };
}

async function look(asked: Look): Promise<View> {
  const { q, status, cursor } = await parametersOf(parameters, asked);
  const found = filterOf(q, status);
  const filter = 'id' in found ? {} : found;
  const { messages, nextCursor } =
    'id' in found
      ? { messages: [], nextCursor: null }
      : await listMessages(asked.db, parseFilter({ ...filter, ...(cursor && { cursor }) }));
  const stats = await readStats(asked.db);
  const here = (more: Readonly<Record<string, string | undefined>>): string =>
    address('/console/messages', { q, status, ...more });
  const content = markup`<h1 class="sr">Messages</h1>${tabs(stats, q, status)}
    <form method="get" action="/console/messages/selected">${list(messages, mayAct(asked.session))}
    ${mayAct(asked.session) && messages.length > 0 ? chosen : null}</form>
    <nav class="pages" aria-label="Pages">${cursor ? markup`<a href="${here({})}">Newest</a>` : null}${nextCursor === null ? null : markup`<a rel="next" href="${here({ cursor: nextCursor })}">Older</a>`}</nav>`;
  return {
    title: status === undefined ? 'Messages' : `Messages: ${statusWords[status]}`,
    content,
    commands: [{ cli: `waybill outbox list${flagsOf(filter)}`, http: getOf(filter) }],
    search: q,
    live: cursor === undefined,
  };
}

const chosen = markup`<div class="chosen"><button name="act" value="retry">Retry the selected …</button>
  <button name="act" value="cancel">Cancel the selected …</button><small>A page shows what will happen before anything does.</small></div>`;

export function flagsOf(filter: Parameters): string {
  const flag = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return Object.entries(filter)
    .flatMap(([name, values]) => [values].flat().map((value) => ` --${flag(name)} ${quoted(value)}`))
    .join('');
}

function getOf(filter: Parameters): string {
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(filter))
    for (const value of [values].flat()) query.append(name, value);
  return get(query.size === 0 ? '/outbox' : `/outbox?${query.toString()}`);
}

function tabs({ byStatus }: Stats, q: string, status: Status | undefined): Markup {
  const tab = (name: Status | undefined, label: string, count: number | null): Markup =>
    markup`<a href="${address('/console/messages', { q, status: name })}"${name === status ? markup` aria-current="page"` : null}>${label}${count === null ? null : markup` <i>${number(count)}</i>`}</a>`;
  const shownTabs = ['pending', 'sending', 'failed', 'dead', 'cancelled', 'delivered'] as const;
  return markup`<nav class="tabs" aria-label="States">${tab(undefined, 'All', null)}${shownTabs.map((name) => tab(name, statusWords[name], byStatus[name]))}</nav>`;
}

const columns: readonly Column<MessageView>[] = [
  {
    head: 'Message',
    as: 'lead',
    cell: ({ id, name, subject, recipient, kind, deliveryKey }) =>
      markup`<a href="/console/messages/${id}">${shown(subject ?? name, 120)}</a><small>${kind}${recipient === null ? null : markup` to ${shown(recipient, 80)}`} · ${deliveryKey === null ? markup`<code>${id.slice(0, 13)}…</code>` : markup`<code>${shown(maskAddresses(deliveryKey), 60)}</code>`}</small>`,
  },
  { head: 'State', as: 'tight', cell: (message) => markup`${statusPill(message)}${cause(message)}` },
  { head: 'Queue', as: 'whole', cell: ({ queue }) => markup`<code>${shown(queue, 60)}</code>` },
  { head: 'Attempts', as: 'n', cell: ({ attemptCount, maxAttempts }) => `${attemptCount} / ${maxAttempts}` },
  { head: 'Next', as: 'n', cell: (message) => nextOf(message) },
  {
    head: 'Last error',
    cell: ({ lastError }) => (lastError === null ? null : shown(maskAddresses(lastError), 140)),
  },
  { head: 'Age', as: 'n', cell: ({ createdAt }) => relative(createdAt) },
];

function cause({ cause: why }: MessageView): Markup | null {
  return why === null ? null : markup`<small>${why}</small>`;
}

const box: Column<MessageView> = {
  head: '',
  as: 'box',
  cell: ({ id }) => markup`<input type="checkbox" name="id" value="${id}" aria-label="Select ${id}" />`,
};

export function list(messages: readonly MessageView[], selectable: boolean, label = 'Messages'): Markup {
  return table(label, messages, selectable ? [box, ...columns] : columns, {
    empty: markup`No message here. What is enqueued appears at once; <code>waybill outbox list</code> shows the same.`,
    href: ({ id }) => `/console/messages/${id}`,
    id: ({ id }) => id,
    kind: 'list',
  });
}
