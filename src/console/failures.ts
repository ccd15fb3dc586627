// The page Failures: dead and retrying messages in groups of the same error, name and cause, the largest first; those that a person has muted last.

import { z } from 'zod';
import { muteFailures, unmuteFailures } from '../acts/failures.ts';
import { groupFailures, type FailureGroup, type Failures } from '../operate/failures.ts';
import { windows, type Window } from '../operate/grouping.ts';
import { actForm, mayAct } from './act-form.ts';
import { get } from './command.ts';
import { nothing, read, type ConsoleAct } from './doing.ts';
import { number, plural, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { address, parametersOf, type Look, type Page, type View } from './page.ts';
import { searchText } from './search.ts';
import type { Session } from './session.ts';
import { table, type Column } from './table.ts';

const path = '/console/failures';
export const failuresPage: Page = { path, place: 'failures', look };

const parameters = z.strictObject({ window: z.enum(windows).default('24h') });

async function look(asked: Look): Promise<View> {
  const { window } = await parametersOf(parameters, asked);
  const failures = await groupFailures(asked.db, window);
  const seen = failures.groups.filter(({ isMuted }) => !isMuted);
  const muted = failures.groups.filter(({ isMuted }) => isMuted);
  const rows = (groups: readonly FailureGroup[], label: string): Markup =>
    table(label, groups, columnsOf(asked.session, window), {
      empty: markup`No message has failed in this time${muted.length > 0 ? ', apart from the muted ones' : ''}. <code>waybill outbox failures --window 7d</code> looks further back.`,
      href: (group) => listOf(group, window),
      id: ({ key }) => key,
    });
  const content = markup`<h1>Failures</h1>${tabs(window)}
    <p class="meta">Dead messages, and messages with a failed attempt, in this time, by error, name and cause: ${total(failures)}</p>
    ${rows(seen, 'Failures')}
    ${muted.length === 0 ? null : markup`<details class="change" id="muted"><summary><span class="button">${plural(muted.length, 'muted group')} …</span></summary>${rows(muted, 'Muted failures')}</details>`}`;
  return {
    title: 'Failures',
    content,
    commands: [
      { cli: `waybill outbox failures --window ${window}`, http: get('/outbox/failures', { window }) },
    ],
  };
}

/** What was counted, and what was left out. */
function total({ groups, rest, bound }: Failures): string {
  const count = groups.reduce((sum, group) => sum + group.count, rest.count);
  const all = groups.length + rest.groups;
  const limit = bound.reached ? ` Only the newest ${number(bound.messages)} were read.` : '';
  return `${plural(count, 'message')} in ${plural(all, 'group')}${rest.groups > 0 ? `, of which these are the largest ${number(groups.length)}` : ''}.${limit}`;
}

function tabs(window: Window): Markup {
  return markup`<nav class="tabs" aria-label="Time">${windows.map(
    (name) =>
      markup`<a href="${address(path, { window: name })}"${name === window ? markup` aria-current="page"` : null}>${name}</a>`,
  )}</nav>`;
}

const columnsOf = (session: Session, window: Window): readonly Column<FailureGroup>[] => [
  {
    head: 'Error',
    as: 'lead',
    cell: (group) =>
      markup`${shown(group.error || 'without an error', 200)}<small>${samples(group)}</small>${grown(group)}`,
  },
  {
    head: 'Name',
    as: 'whole',
    cell: ({ name, kind, cause, versions }) =>
      markup`${shown(name, 80)}<small>${kind}${cause === null ? '' : ` · ${cause}`}${versions.length === 0 ? '' : markup` · ${shown(versions.join(' '), 60)}`}</small>`,
  },
  { head: 'Course', as: 'wide', cell: ({ bars }) => course(bars) },
  {
    head: 'Messages',
    as: 'n',
    cell: (group) =>
      markup`<a href="${listOf(group, window)}">${number(group.count)}</a><small>${number(group.dead)} dead</small>`,
  },
  { head: 'First', as: 'n wide', cell: ({ firstSeen }) => relative(firstSeen) },
  { head: 'Last', as: 'n', cell: ({ lastSeen }) => relative(lastSeen) },
  ...(mayAct(session)
    ? [{ head: 'Acts', as: 'tight' as const, cell: (group: FailureGroup) => acts(session, group, window) }]
    : []),
];

function samples({ sampleIds }: FailureGroup): Markup {
  return markup`${sampleIds.map((id, i) => markup`${i > 0 ? ' ' : ''}<a href="/console/messages/${id}"><code>…${id.slice(-8)}</code></a>`)}`;
}

/** A mute is told to everybody: who, when and why; and that it has ended. */
function grown({ muted, isMuted }: FailureGroup): Markup | null {
  if (muted === null) return null;
  const why = muted.reason === null ? null : markup` “${shown(muted.reason, 160)}”`;
  return markup`<small>muted by ${shown(muted.by, 60)} ${relative(muted.at)}${why}${isMuted ? '' : '; it has more than doubled since'}</small>`;
}

const tallest = 28;

function course(bars: readonly number[]): Markup {
  const most = Math.max(1, ...bars);
  const drawn = bars.map((value, i) => {
    const height = value === 0 ? 0 : Math.max(2, Math.round((value / most) * tallest));
    return markup`<rect x="${i * 5}" y="${30 - height}" width="4" height="${height}"></rect>`;
  });
  return markup`<svg class="bars course" viewBox="0 0 ${bars.length * 5} 30" preserveAspectRatio="none" role="img" aria-label="${`at most ${number(most)} at a time`}">${drawn}</svg>`;
}

/** The search that finds the messages of a group: the longest part of its error stands for the whole. */
function searchOf(
  { name, cause, errorContains }: FailureGroup,
  window: Window,
  status: 'dead' | 'failed',
): string {
  const filter = {
    status,
    name,
    ...(cause !== null && status === 'dead' && { cause }),
    ...(errorContains !== null && { errorContains }),
  };
  return `${searchText(filter)}${status === 'dead' ? ` died:${window}` : ''}`;
}

function listOf(group: FailureGroup, window: Window): string {
  return address('/console/messages', { q: searchOf(group, window, group.dead > 0 ? 'dead' : 'failed') });
}

function acts(session: Session, group: FailureGroup, window: Window): Markup {
  const link = (action: 'retry' | 'cancel', status: 'dead' | 'failed', label: string): Markup =>
    markup`<a class="button" data-key="${action[0]!}" href="${address('/console/bulk/new', { action, q: searchOf(group, window, status) })}">${label} …</a>`;
  const mute = group.isMuted
    ? actForm(session, {
        to: `${path}/${group.key}/unmute`,
        label: 'Unmute',
        will: 'It stands in the list again.',
      })
    : actForm(session, {
        to: `${path}/${group.key}/mute`,
        label: 'Mute',
        will: 'It folds away until it has more than twice as many messages as now.',
      });
  return markup`<div class="acts">${group.dead > 0 ? link('retry', 'dead', 'Retry') : null}${group.count > group.dead ? link('cancel', 'failed', 'Cancel') : null}${mute}</div>`;
}

const muteAct = (act: 'mute' | 'unmute'): ConsoleAct => ({
  path: `${path}/:key/${act}`,
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    await (act === 'mute' ? muteFailures : unmuteFailures)(db, actor, params['key'] ?? '');
    return { to: path, said: act === 'mute' ? 'Muted until it changes.' : 'It stands in the list again.' };
  },
});

export const failureActs: readonly ConsoleAct[] = [muteAct('mute'), muteAct('unmute')];
