// Cron: which ticks were due, and what became of each. A tick is twice when it has two runs or two effects in the database.

import type pg from 'pg';
import type { Breach } from './subject.ts';

export type Ticks = {
  readonly due: number;
  readonly twice: number;
  readonly missing: number;
  readonly breaches: readonly Breach[];
};

/** Each tick from where a wave put its job up to where the scheduler has come, with its runs and its effects. */
const sql = `
  with due as (
    select w.job, t as tick from chaos.waves w join waybill.cron_jobs j on j.name = w.job
     cross join generate_series(w.from_at + interval '1 minute', j.cursor_at, interval '1 minute') t),
  ran as (select name as job, scheduled_at as tick, count(*) as n from waybill.cron_runs group by 1, 2),
  done as (select job, scheduled_at as tick, count(*) as n from chaos.ticks group by 1, 2)
  select d.job || ' ' || to_char(d.tick at time zone 'utc', 'HH24:MI') as name, coalesce(r.n, 0)::int as runs, coalesce(o.n, 0)::int as effects
    from due d left join ran r using (job, tick) left join done o using (job, tick)`;

export async function ticksOf(db: pg.Pool): Promise<Ticks> {
  const { rows } = await db.query<{ name: string; runs: number; effects: number }>(sql);
  const twice = rows.filter(({ runs, effects }) => runs > 1 || effects > 1);
  const missing = rows.filter(({ runs, effects }) => runs === 0 || effects === 0);
  const breach = (promise: string, those: typeof rows): Breach[] =>
    those.length === 0
      ? []
      : [{ promise, text: `${those.length} of ${rows.length}: ${list(those)}`, works: [] }];
  return {
    due: rows.length,
    twice: twice.length,
    missing: missing.length,
    breaches: [...breach('no tick runs twice', twice), ...breach('no tick is missing', missing)],
  };
}

const list = (those: readonly { name: string; runs: number; effects: number }[]): string =>
  those
    .slice(0, 5)
    .map(({ name, runs, effects }) => `${name} (${runs} runs, ${effects} effects)`)
    .join(', ');
