// The queues of a source whose jobs an import takes: those of the map, unless it skips them or they cannot be read.

import { WaybillError } from '../errors.ts';
import { isSkipped, rowOf, type ImportMap } from './import-map.ts';
import { nameOf, type SourceName, type SourceQueue } from './source.ts';

export type ImportedQueues = {
  readonly queues: readonly SourceQueue[];
  /** Jobs of a queue that the import would take. */
  waits(queue: SourceQueue): number;
  /** Jobs of the imported queues in a later survey. */
  stillWaiting(found: readonly SourceQueue[]): number;
};

type Which = {
  readonly source: SourceName;
  readonly map: ImportMap;
  readonly failed: boolean;
  readonly skipUnmapped: boolean;
};

/** @throws WaybillError `queues_unmapped`, `source_unsupported` */
export function importedQueues(
  found: readonly SourceQueue[],
  { source, map, failed, skipUnmapped }: Which,
): ImportedQueues {
  const waits = (queue: SourceQueue): number => queue.pending + (failed ? queue.failed : 0);
  const unmapped = found.filter((queue) => waits(queue) > 0 && rowOf(map, queue) === undefined);
  if (unmapped.length > 0 && !skipUnmapped) throw unmappedError(unmapped, waits);
  const queues = found.filter((queue) => {
    const row = rowOf(map, queue);
    return row !== undefined && !isSkipped(row);
  });
  const unreadable = queues.filter((queue) => waits(queue) > 0 && queue.unsupported !== undefined);
  if (unreadable.length > 0) throw unsupportedError(source, unreadable);
  const names = new Set(queues.map(nameOf));
  const stillWaiting = (later: readonly SourceQueue[]): number =>
    later.filter((queue) => names.has(nameOf(queue))).reduce((sum, queue) => sum + waits(queue), 0);
  return { queues, waits, stillWaiting };
}

function unmappedError(
  unmapped: readonly SourceQueue[],
  waits: (queue: SourceQueue) => number,
): WaybillError {
  const jobs = (queue: SourceQueue): string => (waits(queue) === 1 ? '1 job' : `${waits(queue)} jobs`);
  const lines = unmapped.map((queue) => `\n  ${queue.queue}: ${jobs(queue)}`);
  return new WaybillError(
    'queues_unmapped',
    `nothing was recorded: the map has no row for${lines.join('')}\nAdd a row for each, { "skip": "why" } for one that stays, or give --skip-unmapped`,
    unmapped.map((queue) => ({ path: `queues.${queue.queue}`, message: `${jobs(queue)}, and no row` })),
  );
}

function unsupportedError(source: SourceName, unreadable: readonly SourceQueue[]): WaybillError {
  const reasons = new Map(unreadable.map(({ queue, within = queue, unsupported }) => [within, unsupported!]));
  const lines = [...reasons].map(([queue, reason]) => `\n  ${queue}: ${reason}`);
  return new WaybillError(
    'source_unsupported',
    `nothing was recorded: these queues of ${source} cannot be imported (docs/importing.md):${lines.join('')}`,
    [...reasons].map(([queue, message]) => ({ path: `queues.${queue}`, message })),
  );
}
