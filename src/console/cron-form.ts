// The forms of a cron job: run it now, disable it with an end, enable it, and the range of a backfill, whose preview comes first.

import type { JobView } from '../cron/overview.ts';
import { actForm, mayAct } from './act-form.ts';
import { shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import type { Session } from './session.ts';

type Job = Pick<JobView, 'name' | 'disabled'>;

/** Nothing for a role that may not act. */
export function cronForms(session: Session, { name, disabled }: Job): Markup | null {
  if (!mayAct(session)) return null;
  const to = `/console/cron/${encodeURIComponent(name)}`;
  const run = actForm(session, {
    to: `${to}/run`,
    label: 'Run now',
    will: markup`One run of ${shown(name, 100)}, beside its schedule.`,
  });
  const disable = actForm(session, {
    to: `${to}/disable`,
    label: 'Disable',
    look: 'danger',
    will: markup`No tick of ${shown(name, 100)} becomes a message until it is enabled; the ticks count as skipped.`,
    fields: markup`<input name="for" maxlength="40" placeholder="for: 2h (empty: until enabled)" aria-label="For how long" />`,
  });
  const enable = actForm(session, {
    to: `${to}/enable`,
    label: 'Enable',
    will: markup`${shown(name, 100)} runs again from its next tick on.`,
  });
  return markup`<div class="acts">${run}${disabled === null ? disable : enable}</div>`;
}

/** Leads to the preview. @param given what stands in the fields, in UTC: `2026-01-31T08:00` */
export function rangeForm(
  path: string,
  button: string,
  given: { readonly from?: string | undefined; readonly to?: string | undefined } = {},
): Markup {
  const field = (name: 'from' | 'to', label: string): Markup =>
    markup`<label>${label} <input type="datetime-local" name="${name}" value="${given[name] ?? ''}" required /></label>`;
  return markup`<form class="filter" action="${path}">${field('from', 'From (UTC)')}${field('to', 'to')}<button>${button}</button></form>`;
}

/** A field of a form that a browser fills in without a zone means UTC. */
export function utcOf(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?$/.test(text) ? `${text}Z` : text;
}
