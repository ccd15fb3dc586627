// The page of one bulk act: how far it is, what it changed, what it skipped and why; and its pause, its stop, and how it goes on.

import { z } from 'zod';
import { move } from '../acts/bulk.ts';
import { listActs } from '../operate/audit.ts';
import { showBulk, type BulkMove, type BulkState, type BulkView } from '../operate/bulk.ts';
import { actForm, mayAct, type ActForm } from './act-form.ts';
import { actLines } from './audit.ts';
import { bulkPath, countText, progress, skippedOf, statePill } from './bulk.ts';
import { get } from './command.ts';
import { nothing, read, type ConsoleAct } from './doing.ts';
import { duration, number, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Look, type Page, type View } from './page.ts';
import { searchText } from './search.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

export const bulkActPage: Page = { path: '/console/bulk/:id', place: 'bulk', look };

async function look(asked: Look): Promise<View> {
  await parametersOf(z.strictObject({}), asked);
  const act = await showBulk(asked.db, asked.params['id'] ?? '');
  const { acts } = await listActs(asked.db, { target: act.id, limit: 50 });
  const content = markup`<p class="crumb"><a href="/console/bulk">Bulk acts</a> / <code>${act.id}</code></p>
    <h1>${title(act)} ${statePill(act)}</h1><p class="meta">${meta(act)}</p>
    ${act.note === null ? null : markup`<div class="say ${act.state === 'failed' ? 'bad' : ''}">${shown(act.note, 500)}</div>`}
    ${act.lastError === null ? null : markup`<div class="say bad"><strong>Its last error</strong>${shown(act.lastError, 1_000)}</div>`}
    <section class="progress" aria-label="Progress">${progress(act)} ${left(act)}</section>
    ${mayAct(asked.session) ? forms(asked.session, act) : null}
    <div class="two"><section><h2>Skipped</h2>${skippedTable(act)}<h2>What people did</h2>${actLines(acts)}</section>
      <section><h2>Facts</h2>${facts(act)}</section></div>`;
  return {
    title: title(act),
    content,
    commands: [{ cli: `waybill bulk show ${act.id}`, http: get(`/bulk/${act.id}`) }],
  };
}

const title = (act: BulkView): string =>
  `${act.action[0]!.toUpperCase()}${act.action.slice(1)} ${countText(act)} ${act.matched === 1 ? 'message' : 'messages'}`;

function meta({ by, via, reason, createdAt, endedAt }: BulkView): Markup {
  return markup`started by <b>${shown(by, 100)}</b> (${via}) ${relative(createdAt)}${reason === null ? null : markup` · “${shown(reason, 300)}”`}${endedAt === null ? null : markup` · ended ${relative(endedAt)}`}`;
}

/** From its pace until now. */
function left({ state, matched, atLeast, changed, skipped, startedAt, workedAt }: BulkView): string {
  if (state !== 'running' || atLeast || !(startedAt instanceof Date) || !(workedAt instanceof Date))
    return '';
  const seconds = (workedAt.getTime() - startedAt.getTime()) / 1_000;
  const passed = changed + skippedOf({ skipped });
  if (seconds < 1 || passed === 0 || passed >= matched) return '';
  const pace = passed / seconds;
  return `${number(Math.max(1, pace))} a second, about ${duration((matched - passed) / pace)} left`;
}

const reasons: Readonly<Record<string, string>> = {
  changed_meanwhile: 'did not match any more when their turn came',
  cancelled: 'were cancelled before their turn',
  dead: 'died before their turn',
  deleted: 'were gone before their turn',
  delivered: 'were delivered before their turn',
  delivery_key_taken: 'a newer message has their delivery key',
  due_later: 'are due later anyway',
  erased: 'are erased: nothing is left to do',
  sending: 'are being sent: they end first',
};

/** Reason → number, in words. */
export function skippedTable({ skipped }: Pick<BulkView, 'skipped'>): Markup {
  return table(
    'Skipped messages',
    Object.entries(skipped),
    [
      {
        head: 'Reason',
        as: 'lead',
        cell: ([reason]) =>
          markup`${reasons[reason] ?? reason.replaceAll('_', ' ')}<small><code>${shown(reason, 60)}</code></small>`,
      },
      { head: 'Messages', as: 'n', cell: ([, n]) => number(n) },
    ],
    { empty: markup`None.` },
  );
}

function facts({ action, filter, due, rate, limit, locked, startedAt, workedAt }: BulkView): Markup {
  const rows: readonly (readonly [string, Markup | string | null])[] = [
    ['Action', action],
    ['Filter', markup`${shown(searchText(filter) || 'every message in a state that it takes', 1_000)}`],
    [action === 'hold' ? 'Until' : 'Due', due === null ? null : relative(due)],
    ['Rate', rate === null ? 'as fast as delivery allows' : `${Number(rate.toFixed(3))} a second`],
    ['Limit', limit === null ? null : `${number(limit)} changes`],
    ['Locked', locked === 0 ? null : `${number(locked)}, visited again`],
    ['First batch', startedAt === null ? null : relative(startedAt)],
    ['Last batch', workedAt === null ? null : relative(workedAt)],
  ];
  return markup`<dl class="facts">${rows
    .filter((row): row is [string, Markup | string] => row[1] !== null)
    .map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

type Offer = Omit<ActForm, 'to'> & { readonly from: readonly BulkState[] };

const offers: Readonly<Record<BulkMove, Offer>> = {
  pause: {
    from: ['running'],
    label: 'Pause',
    key: 'p',
    will: 'It changes nothing more from the next batch on, until it is resumed.',
  },
  resume: {
    from: ['paused', 'failed'],
    label: 'Resume',
    key: 'p',
    look: 'main',
    will: 'It goes on where it was.',
  },
  stop: {
    from: ['running', 'paused', 'failed'],
    label: 'Stop',
    key: 'c',
    look: 'danger',
    will: 'It ends for good after its batch. What it has changed stays changed.',
  },
};

function forms(session: Session, { id, state }: BulkView): Markup {
  const possible = Object.entries(offers).filter(([, { from }]) => from.includes(state));
  if (possible.length === 0) return markup``;
  return markup`<div class="acts">${possible.map(([name, offer]) => actForm(session, { ...offer, to: `${bulkPath(id)}/${name}` }))}</div>`;
}

const said = {
  pause: 'It is paused.',
  resume: 'It goes on.',
  stop: 'It is stopped.',
} as const;

const moveAct = (how: BulkMove): ConsoleAct => ({
  path: `/console/bulk/:id/${how}`,
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    const { id } = await move(db, actor, params['id'] ?? '', how);
    return { to: bulkPath(id), said: said[how] };
  },
});

export const bulkMoves: readonly ConsoleAct[] = [moveAct('pause'), moveAct('resume'), moveAct('stop')];
