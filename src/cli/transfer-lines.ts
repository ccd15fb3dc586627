// Imports and exports as lines for people.

import type { ExportReport } from '../transfer/export.ts';
import type { ImportReport } from '../transfer/import.ts';
import { counted, table } from './print.ts';

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
  const became = dryRun
    ? counted(imported, 'job would become a message', 'jobs would become messages')
    : counted(imported, 'job became a message', 'jobs became messages');
  const before = counted(already, 'had become one before', 'had become messages before');
  const unfit = counted(misfits.count, 'does not fit', 'do not fit');
  return [
    `${source}, ${version}`,
    ...table(
      ['QUEUE', 'BECOMES', 'PENDING', 'IMPORTED', 'ALREADY', 'MISFITS', 'IN FLIGHT', 'FAILED', 'IN FLOWS'],
      rows,
    ),
    `${became}, ${before}, ${unfit}`,
    ...misfitLines(report),
    ...(schedules.length > 0
      ? ['', 'schedules are not imported; define each with defineCron, and remove it there:']
      : []),
    ...schedules.map(
      (one) => `  ${one.name}: ${one.schedule}${one.timeZone === null ? '' : ` (${one.timeZone})`}`,
    ),
    ...inFlightLines(report),
    ...(!dryRun && left > 0 ? [leftText(source, left)] : []),
    ...(held > 0
      ? [`${counted(held, 'job is', 'jobs are')} held by an import that did not end: run it again`]
      : []),
    ...(unusedRows.length > 0
      ? [`rows of the map without a job in the source: ${unusedRows.join(', ')}`]
      : []),
    ...(end === 'limit'
      ? [`the limit of ${counted(limit ?? 0, 'job')} was reached: the same command goes on`]
      : []),
    ...(dryRun && limit !== null ? ['--limit has no effect on --dry-run, which checks all jobs'] : []),
    ...(end === 'misfits' ? ['nothing was recorded, because of --strict'] : []),
  ];
}

/** A queue of BullMQ may have a row for each of its job names, and none for what a worker runs. */
function becomes({ skip, pending, failed }: ImportReport['queues'][number]): string {
  if (skip !== null) return `skipped: ${skip}`;
  return pending + failed > 0 ? '(no row in the map)' : '–';
}
/** What to do about jobs of workers that are gone: nothing else would end them. */
const inFlightAdvice: Partial<Record<string, string>> = {
  'graphile-worker':
    'after 4 hours the import moves it, or at once where you free its lock: select graphile_worker.force_unlock_workers(…) with the ids in locked_by of graphile_worker.jobs',
  'pg-boss': 'start your pg-boss once, whose supervision ends it when it expires',
  bullmq: 'start a worker of the queue once, which finds that it stalled',
};

function inFlightLines({ source, queues }: ImportReport): string[] {
  const inFlight = queues.reduce((sum, queue) => sum + (queue.target === null ? 0 : queue.inFlight), 0);
  const advice = inFlightAdvice[source];
  if (inFlight === 0 || advice === undefined) return [];
  return [
    `${counted(inFlight, 'job is', 'jobs are')} in flight. Where the worker of one is gone, ${advice}. Then run the import again`,
  ];
}

const leftText = (source: string, left: number): string =>
  source === 'ndjson'
    ? `${counted(left, 'line of the file is', 'lines of the file are')} not imported`
    : `${counted(left, 'job of the imported queues still waits', 'jobs of the imported queues still wait')} in the source`;

const mostLines = 20;

/** What to do about a code that its name does not say. */
const misfitAdvice: Readonly<Record<string, string>> = {
  payload_sealed:
    'payload_sealed: the payload is sealed to its message; export it with --open-sealed, where WAYBILL_PAYLOAD_KEYS has its key; if --remove cancelled it there, waybill outbox retry brings it back',
  schema_failed:
    'schema_failed: the schema threw an error instead of saying what is wrong: a check of it, or a codec, must not throw',
  delivery_key_taken:
    'delivery_key_taken: another message has the own key of the job; with "key": "id" in its row of the map, it becomes a message all the same',
  in_flow:
    'in_flow: other jobs wait for it, and those of its order key must not overtake it: let the source end it',
  unknown_definition:
    'unknown_definition: the application does not define it: add it, and run the import again',
};

function misfitLines({ misfits: { groups, named } }: ImportReport): string[] {
  const line = ({ code, paths }: { readonly code: string; readonly paths: readonly string[] }): string =>
    `${code}${paths.length > 0 ? ` (${paths.join(', ')})` : ''}`;
  return [
    ...groups.slice(0, mostLines).map((group) => `  ${group.queue}: ${group.count} × ${line(group)}`),
    ...[...new Set(groups.map(({ code }) => misfitAdvice[code]))].flatMap((text) =>
      text ? [`  ${text}`] : [],
    ),
    ...(named.length > 0 ? ['  for example:'] : []),
    ...named.slice(0, 5).map((misfit) => `    ${misfit.queue} ${misfit.id}: ${line(misfit)}`),
  ];
}

/** @param removes whether the messages leave */
export function exportLines(
  { dryRun, matched, exported, stayed, end }: ExportReport,
  removes: boolean,
): string[] {
  const of = `${exported} of ${counted(matched, 'waiting message')}`;
  const was =
    exported === 1 ? 'was written, and goes on waiting here' : 'were written, and go on waiting here';
  const reasons = Object.entries(stayed).map(
    ([reason, n]) => `  ${counted(n, 'stays', 'stay')}: ${reasonText[reason] ?? reason}`,
  );
  return [
    dryRun ? `${of} would be exported` : `${of} ${removes ? 'left' : was}`,
    ...reasons,
    ...(end === 'limit' ? ['the limit was reached'] : []),
  ];
}

const reasonText: Readonly<Record<string, string>> = {
  sealed: 'the payload is sealed; --open-sealed opens it',
  payload_key_missing:
    'the payload is sealed with a key that WAYBILL_PAYLOAD_KEYS does not have: add it, and run the same command',
  payload_unreadable: 'the sealed payload cannot be opened: it was changed, or copied from another row',
  rename_taken:
    'by the "rename" of the map, two fields of the payload would have one name, or one field has two old names',
  no_queue: 'pg-boss has no queue for this kind and name; add a row to the map',
  queue_name: 'pg-boss does not accept the name of the queue; give another one with --map',
  order_key: 'with an order key, the queue of pg-boss needs the policy key_strict_fifo',
  no_order_key: 'without an order key, the queue of pg-boss must not have the policy key_strict_fifo',
  refused_by_pg_boss: 'pg-boss has a job of this id or key',
};
