// Imports and exports as lines for people.

import type { ExportReport } from '../transfer/export.ts';
import type { ImportReport } from '../transfer/import.ts';
import { table } from './print.ts';

export function importLines(report: ImportReport): string[] {
  const { source, version, dryRun, queues, imported, already, misfits, left, held, schedules, end } = report;
  const { limit, unusedRows } = report;
  const rows = queues.map((one) => [
    one.queue,
    one.target ?? becomes(one),
    ...[one.pending, one.imported, one.already, one.misfits, one.inFlight, one.failed, one.inFlows].map(
      String,
    ),
  ]);
  const became = dryRun ? 'would become messages' : 'became messages';
  return [
    `${source}, ${version}`,
    ...table(
      ['QUEUE', 'BECOMES', 'PENDING', 'IMPORTED', 'ALREADY', 'MISFITS', 'IN FLIGHT', 'FAILED', 'IN FLOWS'],
      rows,
    ),
    `${imported} jobs ${became}, ${already} had become messages before, ${misfits.count} do not fit`,
    ...misfitLines(report),
    ...(schedules.length > 0
      ? ['', 'schedules are not imported; define each with defineCron, and remove it there:']
      : []),
    ...schedules.map(
      (one) => `  ${one.name}: ${one.schedule}${one.timeZone === null ? '' : ` (${one.timeZone})`}`,
    ),
    ...(!dryRun && left > 0 ? [`${left} jobs of the imported queues still wait in the source`] : []),
    ...(held > 0 ? [`${held} jobs are held by an import that did not end: run it again`] : []),
    ...(unusedRows.length > 0
      ? [`rows of the map without a job in the source: ${unusedRows.join(', ')}`]
      : []),
    ...(end === 'limit' ? [`the limit of ${limit} jobs was reached: the same command goes on`] : []),
    ...(dryRun && limit !== null ? ['--limit has no effect on --dry-run, which checks all jobs'] : []),
    ...(end === 'misfits' ? ['nothing was recorded, because of --strict'] : []),
  ];
}

/** A queue of BullMQ may have a row for each of its job names, and none for what a worker runs. */
function becomes({ skip, pending, failed }: ImportReport['queues'][number]): string {
  if (skip !== null) return `skipped: ${skip}`;
  return pending + failed > 0 ? '(no row in the map)' : '–';
}

const mostLines = 20;

function misfitLines({ misfits: { groups, named } }: ImportReport): string[] {
  const line = ({ code, paths }: { readonly code: string; readonly paths: readonly string[] }): string =>
    `${code}${paths.length > 0 ? ` (${paths.join(', ')})` : ''}`;
  return [
    ...groups.slice(0, mostLines).map((group) => `  ${group.queue}: ${group.count} × ${line(group)}`),
    ...(named.length > 0 ? ['  for example:'] : []),
    ...named.slice(0, 5).map((misfit) => `    ${misfit.queue} ${misfit.id}: ${line(misfit)}`),
  ];
}

/** @param removes whether the messages leave */
export function exportLines(
  { dryRun, matched, exported, stayed, end }: ExportReport,
  removes: boolean,
): string[] {
  const did = removes ? 'left' : 'were written, and go on waiting here';
  const reasons = Object.entries(stayed).map(([reason, n]) => `  ${n} stay: ${reasonText[reason] ?? reason}`);
  return [
    dryRun
      ? `${exported} of ${matched} waiting messages would be exported`
      : `${exported} of ${matched} waiting messages ${did}`,
    ...reasons,
    ...(end === 'limit' ? ['the limit was reached'] : []),
  ];
}

const reasonText: Readonly<Record<string, string>> = {
  sealed: 'their payloads are sealed; --open-sealed opens them',
  no_queue: 'no queue of pg-boss for their kind and name; add a row to the map',
  order_key: 'they have an order key, and their queue of pg-boss has not the policy key_strict_fifo',
  no_order_key: 'they have no order key, and their queue of pg-boss has the policy key_strict_fifo',
  refused_by_pg_boss: 'pg-boss has a job of their id or key',
};
