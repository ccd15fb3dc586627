// The tables of cron: jobs in words with their last run and what comes next, and runs.

import type { RunView } from '../cron/history.ts';
import type { JobView } from '../cron/overview.ts';
import { cronForms } from './cron-form.ts';
import { duration, number, pill, relative, shown, type Tone } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

export const jobPath = (name: string): string => `/console/cron/${encodeURIComponent(name)}`;

export function jobTable(session: Session, jobs: readonly JobView[]): Markup {
  return table(
    'Jobs',
    jobs,
    [
      {
        head: 'Job',
        as: 'lead',
        cell: ({ name, action }) =>
          markup`<a href="${jobPath(name)}">${shown(name, 100)}</a>${action === name ? null : markup`<small>${shown(action, 100)}</small>`}`,
      },
      { head: 'When', cell: (job) => markup`${shown(job.words, 200)}${disabledLine(job)}` },
      { head: 'Last run', cell: ({ lastRun }) => (lastRun === null ? '–' : lastRunLine(lastRun)) },
      { head: 'Overdue', as: 'n', cell: overdue },
      { head: 'Next', as: 'n', cell: next },
      { head: 'Missed ticks', as: 'wide', cell: policy },
      { head: '', as: 'tight', cell: (job) => cronForms(session, job) },
    ],
    {
      empty: markup`No job is scheduled. <code>defineCron</code> in the application and <code>waybill release</code> schedule some.`,
      href: ({ name }) => jobPath(name),
      id: ({ name }) => name,
    },
  );
}

function lastRunLine(run: RunView): Markup {
  return markup`${runPill(run)} ${relative(run.scheduledAt)}${run.error === null ? null : markup`<small>${shown(run.error, 120)}</small>`}`;
}

/** Nothing for a tick that is due since less than a second. */
export function overdue({ overdueSeconds: late }: JobView): Markup | null {
  if (late === null || late < 1) return null;
  return markup`<span class="${late > 60 ? 'warn' : 'soft'}">${duration(late)}</span>`;
}

function next({ nextTicks }: JobView): Markup | null {
  const [first] = nextTicks;
  if (first === undefined) return null;
  const all = nextTicks.map((tick) => tick.toISOString().slice(0, 16).replace('T', ' ')).join(', ');
  return markup`<span title="${all} UTC">${relative(first)}</span>`;
}

/** Which missed ticks run, and whether runs may overlap. */
export function policy({
  missedTickPolicy,
  maxCatchUpTicks,
  maxCatchUpAgeMs,
  overlap,
}: JobView): Markup | string {
  const most = `all that were missed, at most ${number(maxCatchUpTicks)}, of the last ${duration(maxCatchUpAgeMs / 1_000)}`;
  const missed = missedTickPolicy === 'all' ? most : 'the newest alone';
  return overlap === 'skip' ? markup`${missed}<small>none while a run is in progress</small>` : missed;
}

export function disabledLine({ disabled }: JobView): Markup | null {
  if (disabled === null) return null;
  const { by, reason, until } = disabled;
  const why = reason === null ? null : markup`, “${shown(reason, 160)}”`;
  return markup`<small>${pill('warn', 'disabled')} by ${shown(by, 60)}${why}${until === null ? null : markup` · ends ${relative(until)}`}</small>`;
}

const tones: Readonly<Record<string, Tone>> = { succeeded: 'good', failed: 'bad', skipped: 'warn' };

function runPill({ status }: RunView): Markup {
  return pill(tones[status] ?? '', status);
}

export function runTable(runs: readonly RunView[]): Markup {
  return table(
    'Runs',
    runs,
    [
      {
        head: 'Job',
        as: 'lead',
        cell: ({ name, messageId }) =>
          messageId === null
            ? shown(name, 100)
            : markup`<a href="/console/messages/${messageId}">${shown(name, 100)}</a>`,
      },
      {
        head: 'State',
        as: 'tight',
        cell: (run) =>
          markup`${runPill(run)}${run.reason === null ? null : markup`<small>${shown(run.reason, 60)}</small>`}`,
      },
      { head: 'Scheduled', as: 'n', cell: ({ scheduledAt }) => relative(scheduledAt) },
      { head: 'Ended', as: 'n', cell: ({ finishedAt }) => relative(finishedAt) },
      { head: 'By', cell: ({ source }) => (source === 'cron' ? 'schedule' : 'a person') },
      { head: 'Error', cell: ({ error }) => (error === null ? null : shown(error, 140)) },
    ],
    {
      empty: markup`No run yet. <code>waybill cron run NAME</code> runs a job now.`,
      id: ({ id }) => id,
    },
  );
}
