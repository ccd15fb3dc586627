// The page Messages: tabs with counts, the list, and the messages that a person selected.

import { z } from 'zod';
import { parseFilter } from '../operate/filter.ts';
import type { Executor } from '../db/executor.ts';
import { isWaybillError } from '../errors.ts';
import { listMessages, viewMessage, type MessageView, type Page as List } from '../operate/read.ts';
import { countStates, type CountedState, type StateCount } from '../operate/state-counts.ts';
import { statuses } from '../message/message.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { mayAct } from './act-form.ts';
import { get, quoted } from './command.ts';
import { number, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import {
  address,
  parametersOf,
  type Command,
  type HttpCommand,
  type Look,
  type Page,
  type View,
} from './page.ts';
import { checkSearch, readSearch, searchText, type Parameters, type Search } from './search.ts';
import { nextOf, statusPill, statusWords } from './status.ts';
import { table, type Column } from './table.ts';

export const messagesPage: Page = { path: '/console/messages', place: 'messages', look };

const parameters = z.strictObject({
  q: z.string().max(1_000).default(''),
  status: z.enum([...statuses, 'scheduled']).optional(),
  cursor: z.string().max(500).optional(),
});

/** The search of a tab: that of the field, with the tab's state where the field names none. */
function searchOf(
  q: string,
  status: CountedState | undefined,
): { readonly text: string; readonly is: Search } {
  const text = q.trim();
  const is = readSearch(text);
  if (status === undefined || is.kind === 'message' || is.filter['status'] !== undefined) return { text, is };
  const both = `${text} status:${stateWord(status)}`.trim();
  return { text: both, is: readSearch(both) };
}

const stateWord = (status: CountedState): string =>
  status === 'scheduled' ? 'scheduled' : statusWords[status];

type Listed = Pick<List, 'messages' | 'nextCursor' | 'bound'> & {
  readonly filter: Parameters;
  /** What else the bare text of the search was taken for. */
  readonly taken?: string;
};

async function listed({ db, session }: Look, search: Search, cursor: string | undefined): Promise<Listed> {
  if (search.kind === 'message')
    return { messages: await messageOf(db, search.id), nextCursor: null, filter: {} };
  const { filter } = search;
  checkSearch(filter, session);
  const page = await listMessages(db, parseFilter({ ...filter, ...(cursor && { cursor }) }));
  if (page.messages.length > 0 || cursor || typeof filter['deliveryKey'] !== 'string')
    return { ...page, filter };
  const { deliveryKey, ...rest } = filter;
  for (const name of ['keyPrefix', 'tag', 'requestId']) {
    const other = { ...rest, [name]: deliveryKey! };
    const found = await listMessages(db, parseFilter(other));
    if (found.messages.length > 0)
      return { ...found, filter: other, taken: searchText({ [name]: deliveryKey }) };
  }
  return { ...page, filter };
}

async function messageOf(db: Executor, id: string): Promise<MessageView[]> {
  try {
    return [await viewMessage(db, id)];
  } catch (error) {
    if (!isWaybillError(error)) throw error;
    return []; // pruned, or the id of something else
  }
}

async function look(asked: Look): Promise<View> {
  const { q, status, cursor } = await parametersOf(parameters, asked);
  const { text, is } = searchOf(q, status);
  const { messages, nextCursor, filter, taken, bound } = await listed(asked, is, cursor);
  const counts = await countStates(asked.db);
  const here = (more: Readonly<Record<string, string | undefined>>): string =>
    address('/console/messages', { q, status, ...more });
  const isSelectable = mayAct(asked.session) && messages.length > 0;
  const count =
    q.trim() === '' && status ? counts[status] : (nextCursor ?? cursor) ? null : countOf(messages.length);
  const content = markup`<h1 class="sr">Messages</h1>${tabs(counts, tabOf(q, status, is))}
    ${taken === undefined ? null : markup`<p class="meta">No message has this delivery key. These are <code>${shown(taken, 200)}</code></p>`}
    ${bound?.reached ? markup`<p class="meta">${bound.filters.join(', ')} without an index: of the newest ${number(bound.messages)} that the rest of the search leaves. Add since:, to: or tag:, or go on to older ones.</p>` : null}
    <form method="get" action="/console/messages/selected">${list(messages, mayAct(asked.session))}
    ${isSelectable ? chosen(text === '' || is.kind === 'message' ? null : allLink(taken ?? text, count)) : null}</form>
    <nav class="pages" aria-label="Pages">${cursor ? markup`<a href="${here({})}">Newest</a>` : null}${nextCursor === null ? null : markup`<a rel="next" href="${here({ cursor: nextCursor })}">Older</a>`}</nav>`;
  return {
    title: status === undefined ? 'Messages' : `Messages: ${stateWord(status)}`,
    content,
    commands: [commandOf(is, filter)],
    search: q,
    live: cursor === undefined,
  };
}

function commandOf(search: Search, filter: Parameters): Command {
  return search.kind === 'message'
    ? { cli: `waybill outbox show ${search.id}`, http: get(`/outbox/${search.id}`) }
    : { cli: `waybill outbox list${flagsOf(filter)}`, http: getOf(filter) };
}

const countOf = (count: number): StateCount => ({ count, atLeast: false });
const countText = ({ count, atLeast }: StateCount): string => `${number(count)}${atLeast ? '+' : ''}`;

/** Leads to the form of a bulk act with the page's filter. */
function allLink(q: string, count: StateCount | null): Markup {
  return markup`<a class="button" data-all href="${address('/console/bulk/new', { q })}">All ${count === null ? '' : `${countText(count)} `}that match … <kbd>* a</kbd></a>`;
}

function chosen(all: Markup | null): Markup {
  return markup`<div class="chosen"><button name="act" value="retry">Retry the selected …</button>
  <button name="act" value="cancel">Cancel the selected …</button>${all}<small>A page shows what will happen before anything does.</small></div>`;
}

export function flagsOf(filter: Parameters): string {
  const flag = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return Object.entries(filter)
    .flatMap(([name, values]) => [values].flat().map((value) => ` --${flag(name)} ${quoted(value)}`))
    .join('');
}

function getOf(filter: Parameters): HttpCommand {
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(filter))
    for (const value of [values].flat()) query.append(name, value);
  return get(query.size === 0 ? '/outbox' : `/outbox?${query.toString()}`);
}

type CurrentTab = {
  readonly status: CountedState | undefined;
  /** The search without the state. */ readonly q: string;
};

/** A single state in the search is that tab too. */
function tabOf(q: string, status: CountedState | undefined, is: Search): CurrentTab {
  if (status !== undefined || is.kind === 'message') return { status, q };
  const { status: searched, ...rest } = is.filter;
  const one = statuses.find((name) => name === searched);
  return one === undefined || rest['availableSince'] !== undefined
    ? { status, q }
    : { status: one, q: searchText(rest) };
}

function tabs(counts: Readonly<Record<CountedState, StateCount>>, { status, q }: CurrentTab): Markup {
  const tab = (name: CountedState | undefined, label: string, count: StateCount | null): Markup =>
    markup`<a href="${address('/console/messages', { q, status: name })}"${name === status ? markup` aria-current="page"` : null}>${label}${count === null ? null : markup` <i>${countText(count)}</i>`}</a>`;
  return markup`<nav class="tabs" aria-label="States">${tab(undefined, 'All', null)}${tabNames.map((name) => tab(name, stateWord(name), counts[name]))}</nav>`;
}

/** The scheduled ones are a part of the waiting ones. */
const tabNames = ['pending', 'scheduled', 'sending', 'failed', 'dead', 'cancelled', 'delivered'] as const;

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
