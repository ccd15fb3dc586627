// A new bulk act: a form for the action, the filter, the pace and the reason, and the preview of what it would do. The address has all of it; only the
// button below the preview starts the act.

import { z } from 'zod';
import { previewIn, start, unconfirmed, type BulkGiven } from '../acts/bulk.ts';
import type { Role } from '../config/admin-keys.ts';
import { isWaybillError, WaybillError } from '../errors.ts';
import type { BulkPreview, Share } from '../operate/bulk-preview.ts';
import { bulkActions } from '../operate/bulk-task.ts';
import { hiddenToken } from './act-form.ts';
import { countText, bulkPath } from './bulk.ts';
import { skippedTable } from './bulk-act.ts';
import { post } from './command.ts';
import { read, type ConsoleAct } from './doing.ts';
import { number, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { flagsOf, list } from './messages.ts';
import { address, parametersOf, type Command, type Look, type Page, type View } from './page.ts';
import { checkSearch, readSearch, type Parameters } from './search.ts';
import type { Session } from './session.ts';
import { statusWords } from './status.ts';
import { table } from './table.ts';

const path = '/console/bulk/new';
export const newBulkPage: Page = { path, place: 'bulk', role: 'operate', look };

const line = z.string().max(100).default('');
const fields = z.strictObject({
  action: z.enum(bulkActions).optional(),
  q: z.string().max(1_000).default(''),
  due: line,
  rate: line,
  limit: line,
  reason: z.string().max(1_000).default(''),
  /** A count that was typed and was not right. */
  typed: line,
});
type Fields = z.output<typeof fields>;

/** Actions that need the role admin. */
const forAdmins: readonly string[] = ['erase'];
const actionsOf = ({ role }: { readonly role: Role }): readonly string[] =>
  bulkActions.filter((action) => role === 'admin' || !forAdmins.includes(action));

/** What the fields say. @throws WaybillError `filter_required`, `forbidden`, `invalid_search`, `invalid_limit` */
function givenOf(
  { action, q, due, rate, limit }: Fields,
  session: { readonly role: Role },
): BulkGiven & { readonly filter: Parameters } {
  if (q.trim() === '')
    throw new WaybillError(
      'filter_required',
      'say which messages: a filter such as name:receipt status:dead since:1h. A bulk act without a filter is refused',
    );
  if (action === undefined || !actionsOf(session).includes(action))
    throw new WaybillError('forbidden', `${action ?? 'this'} needs the role admin, not ${session.role}`);
  const search = readSearch(q);
  if (search.kind === 'message')
    throw new WaybillError(
      'invalid_search',
      'this is one message: its own page has what can be done with it',
    );
  checkSearch(search.filter, session);
  const text = (value: string): string | undefined => (value.trim() === '' ? undefined : value.trim());
  return {
    action,
    filter: search.filter,
    due: text(due),
    rate: text(rate),
    limit: text(limit) === undefined ? undefined : wholeNumber(limit),
  };
}

/** `3,000` as a person types it; NaN: it is none. */
const wholeNumber = (text: string): number =>
  /^\d{1,9}$/.test(text.replaceAll(/[\s,.'+]/g, '')) ? Number(text.replaceAll(/[\s,.'+]/g, '')) : Number.NaN;

async function look(asked: Look): Promise<View> {
  const given = await parametersOf(fields, asked);
  const { content, title, commands = [] } = await previewPart(asked, given);
  const fieldset = form(given, asked.session);
  return {
    title: title ?? 'New bulk act',
    content: markup`<p class="crumb"><a href="/console/bulk">Bulk acts</a> / new</p><h1>${title ?? 'New bulk act'}</h1>
      ${title === undefined ? fieldset : markup`<details class="change"><summary><code>${shown(given.q, 300)}</code> <span class="button">Change …</span></summary>${fieldset}</details>`}${content}`,
    commands,
    live: false,
  };
}

/** With a title: the preview. */
type Part = Partial<Pick<View, 'title' | 'commands'>> & Pick<View, 'content'>;

async function previewPart(asked: Look, given: Fields): Promise<Part> {
  if (given.action === undefined)
    return { content: markup`<p class="soft">The preview shows what will happen, before anything does.</p>` };
  try {
    const bulk = givenOf(given, asked.session);
    return previewed(asked.session, given, bulk, await previewIn(asked.db, bulk));
  } catch (error) {
    if (!isWaybillError(error)) throw error;
    return {
      content: markup`<div class="say bad" role="alert"><strong>This cannot be done</strong>${shown(error.message, 2_000)}</div>`,
    };
  }
}

function form({ action, q, due, rate, limit, reason }: Fields, session: Session): Markup {
  const field = (name: string, label: string, value: string, hint: string): Markup =>
    markup`<label>${label}<input name="${name}" value="${value}" maxlength="100" placeholder="${hint}" /></label>`;
  return markup`<form class="fields" action="${path}">
    <label>Action<select name="action">${actionsOf(session).map((one) => markup`<option value="${one}"${one === (action ?? usual(q)) ? markup` selected` : null}>${one}: ${does[one] ?? ''}</option>`)}</select></label>
    <label class="long">Messages<input name="q" value="${q}" maxlength="1000" list="tokens" autocomplete="off" placeholder="name:receipt status:dead since:1h" /></label>
    ${field('due', 'Until, or due (hold, reschedule)', due, '2h, or 2026-01-31T08:00:00Z')}
    ${field('rate', 'Rate', rate, '50/s; empty: as fast as delivery allows')}
    ${field('limit', 'At most', limit, 'so many changes; empty: all')}
    <label class="long">Reason<input name="reason" value="${reason}" maxlength="1000" placeholder="for the audit" /></label>
    <button class="main">Preview</button></form>`;
}

const does: Readonly<Record<string, string>> = {
  retry: 'dead ones are due again',
  cancel: 'waiting ones are never delivered',
  hold: 'waiting ones are not due before a time',
  reschedule: 'waiting ones are due at another time',
  erase: 'their content is replaced for good',
};

const usual = (q: string): string => (/status:"?(?:dead|cancelled)/.test(q) ? 'retry' : 'cancel');

const capital = (word: string): string => `${word[0]!.toUpperCase()}${word.slice(1)}`;

function previewed(session: Session, given: Fields, bulk: BulkGiven, preview: BulkPreview): Part {
  const { action, matched, due, oldest, newest, warnings, samples } = preview;
  const title = `${capital(action)} ${countText(preview)} ${matched === 1 ? 'message' : 'messages'}?`;
  const commands = [commandOf(bulk, given.reason)];
  const skipped =
    Object.keys(preview.skipped).length === 0
      ? null
      : markup`<h2>Will be skipped</h2>${skippedTable(preview)}`;
  if (matched === 0) {
    const nothing = markup`<div class="say">No message matches, so nothing would be done.</div>`;
    return { title, commands, content: markup`${nothing}${skipped}` };
  }
  const when =
    due === null ? null : markup` ${action === 'hold' ? 'Not due before' : 'Due at'} ${relative(due)}.`;
  const content = markup`<p class="meta">Nothing has been done yet.${when} The oldest was recorded ${relative(oldest)}, the newest ${relative(newest)}.</p>
    ${warnings.length === 0 ? null : markup`<ul class="say warn plain">${warnings.map((text) => markup`<li>${shown(text, 500)}</li>`)}</ul>`}
    ${wrongCount(given, preview)}${startForm(session, given, preview)}
    <div class="three">${shares('Name', preview.byName)}${shares('Queue', preview.byQueue)}${shares('State', preview.byStatus, statusWords)}</div>
    ${skipped}
    <h2>The newest ${samples.length}</h2>${list(samples, false, 'Samples')}`;
  return { title, commands, content };
}

function shares(head: string, all: readonly Share[], words: Readonly<Record<string, string>> = {}): Markup {
  return markup`<section><h2>By ${head.toLowerCase()}</h2>${table(
    `By ${head.toLowerCase()}`,
    all,
    [
      { head, as: 'lead', cell: ({ value }) => shown(words[value] ?? value, 120) },
      { head: 'Messages', as: 'n', cell: ({ count }) => number(count) },
    ],
    { empty: markup`None.` },
  )}</section>`;
}

function wrongCount({ typed }: Fields, preview: BulkPreview): Markup | null {
  if (typed === '') return null;
  return markup`<div class="say bad" role="alert"><strong>Nothing was started</strong>${countText(preview)} messages match, and “${shown(typed, 40)}” was typed: look at the preview, and type its count.</div>`;
}

function startForm(session: Session, { q, due, rate, limit, reason }: Fields, preview: BulkPreview): Markup {
  const { action, matched, atLeast } = preview;
  const kept = { action, q, due, rate, limit };
  const hidden = Object.entries(kept).map(
    ([name, value]) => markup`<input type="hidden" name="${name}" value="${value}" />`,
  );
  const count =
    matched > unconfirmed || atLeast
      ? markup`<input name="expect" inputmode="numeric" maxlength="20" required autocomplete="off" placeholder="Type ${number(matched)}" aria-label="Type the count, ${number(matched)}" />`
      : null;
  return markup`<form class="filter" method="post" action="/console/bulk/start">${hiddenToken(session)}${hidden}
    <input name="reason" value="${reason}" maxlength="1000" placeholder="Reason, for the audit" aria-label="Reason, for the audit" />${count}
    <button class="${action === 'retry' ? 'main' : 'danger'}">${capital(action)} ${countText(preview)}</button></form>`;
}

function commandOf({ action, filter, due, rate, limit }: BulkGiven, reason: string): Command {
  const more = Object.fromEntries(
    Object.entries({ due, rate, limit, reason: reason === '' ? undefined : reason }).filter(
      ([, value]) => value,
    ),
  );
  const flags = flagsOf({ ...(filter as Parameters), ...textsOf(more) });
  return {
    cli: `waybill bulk start ${action}${flags} --dry-run`,
    http: post('/bulk', { action, filter, ...more, dryRun: true }),
  };
}

const textsOf = (values: object): Parameters =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));

const startFields = fields.omit({ reason: true, typed: true }).extend({ expect: line });

/** A count that is missing or wrong leads back to the preview, where it stands beside the right one. */
export const startBulkAct: ConsoleAct = {
  path: '/console/bulk/start',
  async run({ db, actor, session, form }) {
    const { expect: typed, ...rest } = await read(startFields, form);
    const given = { ...rest, reason: '', typed };
    const bulk = givenOf(given, session);
    const expected = typed.trim() === '' ? undefined : wholeNumber(typed);
    try {
      if (Number.isNaN(expected)) throw new WaybillError('count_differs', 'this is no count');
      const { id } = await start(db, actor, { ...bulk, expect: expected });
      return { to: bulkPath(id), said: 'It is started.' };
    } catch (error) {
      if (!isWaybillError(error) || !['count_required', 'count_differs'].includes(error.code)) throw error;
      const back = { ...rest, reason: actor.reason ?? '', typed: typed.trim() || 'nothing' };
      return { to: address(path, back), said: '' };
    }
  },
};
