// Stalled and silent processes, found by their heartbeats, and their gauges. The statement reads only the heartbeats, so these figures are current
// even where the outbox is locked and the others are old.

import type { Executor } from '../db/executor.ts';
import { isSilent, isStalled } from '../db/liveness.ts';
import { gaugeText } from './text.ts';

/** Of a row of waybill.processes. */
export const rolesOf = `case role when 'all' then '{web,relay,email,jobs,scheduler}'::text[] else string_to_array(role, '+') end`;

export const standstillGaugesSql = `
  select r as role, (select count(*)::int from waybill.processes where ${isSilent} and r = any(${rolesOf})) as silent,
         (select count(*)::int from waybill.processes where ${isStalled} and r = any(${rolesOf})) as stalled
    from unnest('{web,relay,email,jobs,scheduler}'::text[]) r`;

export const standstillFacts = [
  {
    key: 'silent',
    name: 'waybill_processes_silent',
    help: 'Processes without a heartbeat for 6 s to 10 minutes: stopped, blocked, cut off, or killed',
    type: 'gauge',
    labels: ['role'],
  },
  {
    key: 'stalled',
    name: 'waybill_processes_stalled',
    help: 'Processes of which a loop has finished no step for three of its intervals',
    type: 'gauge',
    labels: ['role'],
  },
] as const;

type Row = { readonly role: string; readonly silent: number; readonly stalled: number };

export async function standstillGauges(db: Executor): Promise<string> {
  const { rows } = await db.executeSql<Row>(standstillGaugesSql);
  return standstillFacts
    .map(({ key, name, help, type }) => {
      const samples = rows.map((row) => ({ labels: { role: row.role }, value: row[key] }));
      return gaugeText(name, help, samples, type);
    })
    .join('');
}
