// The preview of a backfill: how many ticks of the range would run, and which. Nothing has been done yet.

import { z } from 'zod';
import { backfill, readRange, type Backfill } from '../cron/backfill.ts';
import { createZones } from '../cron/zones.ts';
import { unconfirmed } from '../acts/bulk.ts';
import { hiddenToken } from './act-form.ts';
import { post, quoted } from './command.ts';
import { rangeForm, utcOf } from './cron-form.ts';
import { jobPath } from './cron-table.ts';
import { exact, number, plural, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Page } from './page.ts';
import type { Session } from './session.ts';

const zones = createZones();
const end = z.string().max(40).optional();
const parameters = z.strictObject({ from: end, to: end });

export const backfillPage: Page = {
  path: '/console/cron/:name/backfill',
  place: 'cron',
  role: 'operate',
  async look(asked) {
    const { from, to } = await parametersOf(parameters, asked);
    const { db, session, params } = asked;
    const name = params['name'] ?? '';
    const range = readRange({ from: utcOf(from), to: utcOf(to) });
    const plan = await backfill(db, zones, name, range, true);
    const ends = { from: range.from.toISOString(), to: range.to.toISOString() };
    const expect = plan.runs.length > unconfirmed ? { expect: plan.runs.length } : {};
    const options = `--from ${ends.from} --to ${ends.to}`;
    return {
      title: `Backfill ${name}`,
      content: markup`<p class="crumb"><a href="/console/cron">Cron</a> · <a href="${jobPath(name)}">${shown(name, 100)}</a></p>
        <h1>Run ${plural(plan.runs.length, 'tick')}?</h1>${counts(plan)}${confirm(session, plan)}
        <h2>Another range</h2>${rangeForm(`${jobPath(name)}/backfill`, 'Show the ticks', { from, to })}`,
      commands: [
        {
          cli: `waybill cron backfill ${quoted(name)} ${options}${'expect' in expect ? ` --expect ${expect.expect}` : ''}`,
          http: post(`/cron/${encodeURIComponent(name)}/backfill`, { ...ends, ...expect }),
        },
      ],
      live: false,
    };
  },
};

function counts({ from, to, ticks, alreadyRun, runs }: Backfill): Markup {
  const [first, last] = [runs[0], runs.at(-1)];
  const ran = alreadyRun === 0 ? '' : ` ${number(alreadyRun)} of them ran before.`;
  const which =
    first === undefined || last === undefined
      ? markup` None is left to run.`
      : markup` The first to run is ${exact(first)}, the last ${exact(last)}.`;
  return markup`<p class="meta">From ${exact(from)} to ${exact(to)} (UTC) there are ${plural(ticks, 'tick')}.${ran}${which} Nothing has been done yet.</p>`;
}

function confirm(session: Session, { name, from, to, runs }: Backfill): Markup | null {
  if (runs.length === 0) return null;
  const count =
    runs.length > unconfirmed
      ? markup`<input name="expect" inputmode="numeric" required maxlength="7" placeholder="type ${runs.length} to confirm" aria-label="The count, typed" />`
      : markup`<input type="hidden" name="expect" value="${runs.length}" />`;
  return markup`<form class="filter" method="post" action="${jobPath(name)}/backfill">${hiddenToken(session)}
    <input type="hidden" name="from" value="${from.toISOString()}" /><input type="hidden" name="to" value="${to.toISOString()}" />
    <input name="reason" maxlength="1000" placeholder="Reason, for the audit" aria-label="Reason" />${count}
    <button class="main">Run ${plural(runs.length, 'tick')}</button></form>`;
}
