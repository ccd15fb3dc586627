// The groups of a queue: what waits in each, pause and resume, and the way to the preview that cancels what waits.

import { stateOf, type Groups, type GroupView } from '../operate/groups.ts';
import { actForm, mayAct } from './act-form.ts';
import { number, pill, plural, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { address } from './page.ts';
import { queuePath } from './queue-table.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

/** A token of the search. Within quotes there may be anything but quotes. */
export const token = (word: string, value: string): string =>
  /^[^\s"]+$/.test(value) ? `${word}:${value}` : `${word}:"${value.replaceAll('"', '')}"`;

/** Nothing for a queue without groups. */
export function groupsOf(session: Session, queue: string, { groups, rest }: Groups): Markup | null {
  const named = groups.filter(({ group }) => group !== null);
  if (named.length === 0) return null;
  const more =
    rest.groups > 0
      ? markup`<p class="meta">Paused and parked ones, then the largest. ${plural(rest.waiting, 'message waits', 'messages wait')} in ${plural(rest.groups, 'other')}.</p>`
      : null;
  return markup`<h2>Groups</h2>${groupTable(session, queue, named)}${more}`;
}

function groupTable(session: Session, queue: string, groups: readonly GroupView[]): Markup {
  return table(
    'Groups',
    groups,
    [
      { head: 'Group', as: 'lead', cell: ({ group }) => link(queue, group ?? '') },
      { head: 'State', cell: stateCell },
      { head: 'Waiting', as: 'n', cell: ({ waiting }) => number(waiting) },
      { head: 'Due', as: 'n wide', cell: ({ due }) => number(due) },
      { head: 'In flight', as: 'n', cell: ({ inFlight }) => number(inFlight) },
      { head: 'Oldest', as: 'n', cell: ({ oldest }) => relative(oldest) },
      { head: '', as: 'tight', cell: (group) => (mayAct(session) ? acts(session, queue, group) : null) },
    ],
    { empty: markup`No group.`, id: ({ group }) => group ?? '' },
  );
}

/** The messages of the group. */
function link(queue: string, group: string): Markup {
  const q = `${token('queue', queue)} ${token('group', group)}`;
  return markup`<a href="${address('/console/messages', { q })}"><code>${shown(group, 100)}</code></a>`;
}

function stateCell(group: GroupView): Markup {
  const { state, reason, by, since, until } = stateOf(group);
  if (since === null) return pill('good', 'open');
  const why = reason === null ? null : markup`${shown(reason)} · `;
  const who = by === null ? null : markup`by ${shown(by, 60)} · `;
  return markup`${pill('warn', state)}<small>${why}${who}since ${relative(since)}${until === null ? null : markup` · ends ${relative(until)}`}</small>`;
}

function acts(session: Session, queue: string, one: GroupView): Markup {
  const { group, waiting } = one;
  const hidden = markup`<input type="hidden" name="group" value="${group ?? ''}" />`;
  const pause = actForm(session, {
    to: `${queuePath(queue)}/groups/pause`,
    label: 'Pause',
    key: 'p',
    quiet: true,
    look: 'danger',
    will: markup`Only this group, with ${plural(waiting, 'waiting message')}.`,
    fields: markup`${hidden}<input name="for" maxlength="40" placeholder="for: 2h (empty: until resumed)" aria-label="For how long" />`,
  });
  const resume = actForm(session, {
    to: `${queuePath(queue)}/groups/resume`,
    label: 'Resume',
    key: 'p',
    quiet: true,
    will: markup`${plural(waiting, 'message')} of this group may be claimed again.`,
    fields: hidden,
  });
  const q = `${token('queue', queue)} ${token('group', group ?? '')}`;
  const cancel =
    waiting === 0
      ? null
      : markup`<a class="button" href="${address('/console/bulk/new', { action: 'cancel', q })}">Cancel …</a>`;
  return markup`<div class="acts">${stateOf(one).state === 'open' ? pause : resume}${cancel}</div>`;
}
