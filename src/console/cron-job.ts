// The page of one cron job: when it runs, what happens to missed ticks, what a catch-up would do now, and its runs.

import { z } from 'zod';
import { listRuns } from '../cron/history.ts';
import { showJob, type JobView } from '../cron/overview.ts';
import { previewCron, readSpan, type Preview } from '../cron/preview.ts';
import { createZones } from '../cron/zones.ts';
import { mayAct } from './act-form.ts';
import { get, quoted } from './command.ts';
import { cronForms, rangeForm, utcOf } from './cron-form.ts';
import { disabledLine, jobPath, overdue, policy, runTable } from './cron-table.ts';
import { exact, number, plural, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Look, type Page, type View } from './page.ts';

const zones = createZones();
const end = z.string().max(40).optional();
const parameters = z.strictObject({ from: end, to: end });

export const jobPage: Page = { path: '/console/cron/:name', place: 'cron', look };

async function look(asked: Look): Promise<View> {
  const { from, to } = await parametersOf(parameters, asked);
  const { db, session, params } = asked;
  const name = params['name'] ?? '';
  const job = await showJob(db, zones, name);
  const { runs } = await listRuns(db, { name: [name], limit: 20 });
  const plan = await previewCron(db, zones, name, readSpan({ from: utcOf(from), to: utcOf(to) }));
  const content = markup`<p class="crumb"><a href="/console/cron">Cron</a></p><h1>${shown(name, 100)}</h1>
    <div class="meta">${shown(job.words, 200)}${disabledLine(job)}</div>
    ${cronForms(session, job)}${facts(job)}
    <h2>Catch-up</h2>${planned(plan)}${rangeForm(jobPath(name), 'Preview', { from, to })}
    ${mayAct(session) ? markup`<h2>Backfill</h2><p class="meta">Ticks of a range that were skipped or missed run now, each once. First you see which.</p>${rangeForm(`${jobPath(name)}/backfill`, 'Show the ticks')}` : null}
    <h2>Last runs</h2>${runTable(runs)}`;
  const path = `/cron/${encodeURIComponent(name)}/preview`;
  return {
    title: `Cron ${name}`,
    content,
    commands: [
      { cli: `waybill cron preview ${quoted(name)}`, http: get(path) },
      { cli: `waybill cron runs --name ${quoted(name)}`, http: get('/cron/runs', { name }) },
    ],
    live: from === undefined && to === undefined,
  };
}

function facts(job: JobView): Markup {
  const { schedule, timeZone, action, nextTicks } = job;
  const rows: readonly (readonly [string, Markup | string | null])[] = [
    ['Schedule', markup`${shown(schedule, 100)} · ${timeZone}`],
    ['Action', shown(action, 200)],
    ['Missed ticks', policy(job)],
    ['Overdue by', overdue(job)],
    ['Next', markup`${nextTicks.map((tick, i) => markup`${i > 0 ? ', ' : ''}${exact(tick)}`)}`],
  ];
  const given = rows.filter(([, value]) => value !== null);
  return markup`<dl class="facts">${given.map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

const shownTicks = 20;

/** What the scheduler would do with the ticks of the span. */
function planned({ from, to, due, runs, skipped }: Preview): Markup {
  const span = markup`After ${exact(from)} up to ${exact(to)}`;
  if (due === 0) return markup`<p class="meta">${span} no tick is due: nothing is to be caught up.</p>`;
  const rest = runs.length > shownTicks ? ` and ${number(runs.length - shownTicks)} more` : '';
  const list = runs
    .slice(0, shownTicks)
    .map(({ scheduledAt }, i) => markup`${i > 0 ? ', ' : ''}${relative(scheduledAt)}`);
  return markup`<p class="meta">${span} ${plural(due, 'tick is', 'ticks are')} due. A catch-up runs ${number(runs.length)} of them and skips ${number(skipped)}.${runs.length === 0 ? null : markup` It runs: ${list}${rest}.`}</p>`;
}
