// The page Cron: jobs in words with their last run, what is overdue and what comes next, and the newest runs.

import { z } from 'zod';
import { listRuns, type RunView } from '../cron/history.ts';
import { readCron, type JobView } from '../cron/overview.ts';
import { createZones } from '../cron/zones.ts';
import { actForm, mayAct } from './act-form.ts';
import { get } from './command.ts';
import { duration, pill, relative, shown, type Tone } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Page } from './page.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

const zones = createZones();

export const cronPage: Page = {
  path: '/console/cron',
  place: 'cron',
  async look(asked) {
    await parametersOf(z.strictObject({}), asked);
    const { db, session } = asked;
    const { jobs } = await readCron(db, zones);
    const { runs } = await listRuns(db, { limit: 20 });
    return {
      title: 'Cron',
      content: markup`<h1>Cron</h1><p class="meta">Each tick becomes one message, even when several schedulers run.</p>
        ${jobTable(session, jobs)}<h2>Last runs</h2>${runTable(runs)}`,
      commands: [
        { cli: 'waybill cron list', http: get('/cron') },
        { cli: 'waybill cron runs', http: get('/cron/runs') },
      ],
    };
  },
};

function jobTable(session: Session, jobs: readonly JobView[]): Markup {
  return table(
    'Jobs',
    jobs,
    [
      {
        head: 'Job',
        as: 'lead',
        cell: ({ name, action }) =>
          markup`<b>${shown(name, 100)}</b>${action === name ? null : markup`<small>${shown(action, 100)}</small>`}`,
      },
      { head: 'When', cell: when },
      {
        head: 'Last run',
        cell: ({ lastRun }) =>
          lastRun === null ? '–' : markup`${runPill(lastRun)} ${relative(lastRun.scheduledAt)}`,
      },
      {
        head: 'Overdue',
        as: 'n',
        cell: ({ overdueSeconds: late }) =>
          late === null || late < 1
            ? null
            : markup`<span class="${late > 60 ? 'warn' : 'soft'}">${duration(late)}</span>`,
      },
      { head: 'Next', as: 'n', cell: next },
      { head: '', as: 'tight', cell: (job) => (mayAct(session) ? runNow(session, job) : null) },
    ],
    {
      empty: markup`No job is scheduled. <code>defineCron</code> in the application and <code>waybill release</code> schedule some.`,
      id: ({ name }) => name,
    },
  );
}

function next({ nextTicks }: JobView): Markup | null {
  const [first] = nextTicks;
  if (first === undefined) return null;
  const all = nextTicks.map((tick) => tick.toISOString().slice(0, 16).replace('T', ' ')).join(', ');
  return markup`<span title="${all} UTC">${relative(first)}</span>`;
}

function runNow(session: Session, { name, disabled }: JobView): Markup {
  return markup`<div class="acts">${actForm(session, {
    to: `/console/cron/${encodeURIComponent(name)}/run`,
    label: 'Run now',
    will: markup`One run of ${shown(name, 100)}, beside its schedule.`,
  })}${disabled === null ? disableForm(session, name) : enableForm(session, name)}</div>`;
}

function disableForm(session: Session, name: string): Markup {
  return actForm(session, {
    to: `/console/cron/${encodeURIComponent(name)}/disable`,
    label: 'Disable',
    look: 'danger',
    will: markup`No tick of ${shown(name, 100)} becomes a message until it is enabled; the ticks count as skipped.`,
    fields: markup`<input name="for" maxlength="40" placeholder="for: 2h (empty: until enabled)" aria-label="For how long" />`,
  });
}

function enableForm(session: Session, name: string): Markup {
  return actForm(session, {
    to: `/console/cron/${encodeURIComponent(name)}/enable`,
    label: 'Enable',
    will: markup`${shown(name, 100)} runs again from its next tick on.`,
  });
}

function when({ words, disabled }: JobView): Markup {
  if (disabled === null) return shown(words, 200);
  const { by, reason, until } = disabled;
  return markup`${shown(words, 200)}<small>${pill('warn', 'disabled')} by ${shown(by, 60)}${reason === null ? null : markup`, “${shown(reason, 160)}”`}${until === null ? null : markup` · ends ${relative(until)}`}</small>`;
}

const tones: Readonly<Record<string, Tone>> = {
  succeeded: 'good',
  delivered: 'good',
  dead: 'bad',
  failed: 'bad',
  skipped: 'warn',
};

function runPill({ status }: RunView): Markup {
  return pill(tones[status] ?? '', status);
}

function runTable(runs: readonly RunView[]): Markup {
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
    { empty: markup`No run yet.`, id: ({ id }) => id },
  );
}
