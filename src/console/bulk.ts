// The page Bulk acts: what people have started for all messages that a filter matches, the newest first.

import { z } from 'zod';
import { bulkStates, listBulk, type BulkState, type BulkView } from '../operate/bulk.ts';
import { mayAct } from './act-form.ts';
import { get } from './command.ts';
import { number, pill, relative, shown, type Tone } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { address, parametersOf, type Look, type Page, type View } from './page.ts';
import { searchText } from './search.ts';
import { table, type Column } from './table.ts';

export const bulkPage: Page = { path: '/console/bulk', place: 'bulk', look };

const parameters = z.strictObject({
  state: z.enum(bulkStates).optional(),
  cursor: z.string().max(500).optional(),
});

async function look(asked: Look): Promise<View> {
  const { state, cursor } = await parametersOf(parameters, asked);
  const { bulkActs, nextCursor } = await listBulk(asked.db, {
    limit: 50,
    cursor,
    ...(state && { state: [state] }),
  });
  const here = (more: Readonly<Record<string, string | undefined>> = {}): string =>
    address('/console/bulk', { state, ...more });
  const content = markup`<h1>Bulk acts</h1><p class="meta">One act on all messages that a filter matches. The relay works it off; it goes on when this page is closed.</p>
    ${mayAct(asked.session) ? markup`<p class="acts"><a class="button" href="/console/bulk/new">New bulk act …</a></p>` : null}
    ${tabs(state)}${table('Bulk acts', bulkActs, columns, {
      empty: markup`No bulk act here. The first begins with a filter: <a href="/console/messages">Messages</a>, or <code>waybill bulk start cancel --name NAME --dry-run</code>.`,
      href: ({ id }) => bulkPath(id),
      id: ({ id }) => id,
    })}
    <nav class="pages" aria-label="Pages">${cursor ? markup`<a href="${here()}">Newest</a>` : null}${nextCursor === null ? null : markup`<a rel="next" href="${here({ cursor: nextCursor })}">Older</a>`}</nav>`;
  return {
    title: 'Bulk acts',
    content,
    commands: [
      { cli: `waybill bulk list${state ? ` --state ${state}` : ''}`, http: get('/bulk', { state }) },
    ],
    live: cursor === undefined,
  };
}

function tabs(state: BulkState | undefined): Markup {
  const tab = (name: BulkState | undefined, label: string): Markup =>
    markup`<a href="${address('/console/bulk', { state: name })}"${name === state ? markup` aria-current="page"` : null}>${label}</a>`;
  return markup`<nav class="tabs" aria-label="States">${tab(undefined, 'All')}${bulkStates.map((name) => tab(name, name))}</nav>`;
}

export const bulkPath = (id: string): string => `/console/bulk/${id}`;

const tones: Readonly<Record<BulkState, Tone>> = {
  running: 'good',
  paused: 'warn',
  stopped: 'soft',
  done: 'soft',
  failed: 'bad',
};

export const statePill = ({ state }: Pick<BulkView, 'state'>): Markup => pill(tones[state], state);

/** `3,000`, or `100,000+`. */
export const countText = ({ matched, atLeast }: Pick<BulkView, 'matched' | 'atLeast'>): string =>
  `${number(matched)}${atLeast ? '+' : ''}`;

export const skippedOf = ({ skipped }: Pick<BulkView, 'skipped'>): number =>
  Object.values(skipped).reduce((sum, n) => sum + n, 0);

/** How far it is, as a bar and in figures. */
export function progress(act: BulkView): Markup {
  const passed = act.changed + skippedOf(act);
  const isOver = act.state === 'done';
  const most = isOver ? Math.max(1, passed) : Math.max(1, act.matched, passed);
  return markup`<progress max="${most}" value="${isOver ? most : passed}" aria-label="Progress"></progress>
    <small>${number(act.changed)} of ${countText(act)}${skippedOf(act) > 0 ? `, ${number(skippedOf(act))} skipped` : ''}</small>`;
}

const columns: readonly Column<BulkView>[] = [
  {
    head: 'Act',
    as: 'lead',
    cell: ({ id, action, filter }) =>
      markup`<a href="${bulkPath(id)}">${action}</a> <code>${shown(searchText(filter) || 'every message', 160)}</code>`,
  },
  { head: 'State', as: 'tight', cell: statePill },
  { head: 'Progress', as: 'whole', cell: progress },
  {
    head: 'Who, why',
    cell: ({ by, via, reason }) =>
      markup`<b>${shown(by, 60)}</b> <small>${via}${reason === null ? null : markup` · “${shown(reason, 160)}”`}</small>`,
  },
  { head: 'Started', as: 'n', cell: ({ createdAt }) => relative(createdAt) },
  { head: 'Ended', as: 'n', cell: ({ endedAt }) => (endedAt === null ? null : relative(endedAt)) },
];
