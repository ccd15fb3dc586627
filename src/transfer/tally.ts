// The counts of an import, by queue of the source, and the misfits that people look at.

import { isSkipped, rowOf, type ImportMap, type MapRow } from './import-map.ts';
import type { Misfit } from './judge.ts';
import type { SourceJob, SourceQueue } from './source.ts';

/** One queue of the source: what it had at the start, and what came of it. */
export type ImportedQueue = SourceQueue & {
  /** `job sendReceipt`; null: the map skips it, or has no row. */
  readonly target: string | null;
  /** Why the map skips it. */
  readonly skip: string | null;
  /** Messages recorded; in a dry run, messages that would be. */
  readonly imported: number;
  /** Jobs whose messages existed already. */
  readonly already: number;
  readonly misfits: number;
};

export type MisfitGroup = Pick<Misfit, 'queue' | 'code' | 'paths'> & { readonly count: number };

/** Misfits that are named one by one; their groups count all. */
const mostNamed = 100;

export type Tally = {
  imported(jobs: readonly SourceJob[]): void;
  already(jobs: readonly SourceJob[]): void;
  misfit(misfit: Misfit): void;
  /** Jobs that became messages, or had become some. */
  done(): number;
  queues(): ImportedQueue[];
  misfits(): {
    readonly named: readonly Misfit[];
    readonly groups: readonly MisfitGroup[];
    readonly count: number;
  };
};

export function createTally(found: readonly SourceQueue[], map: ImportMap): Tally {
  const counts = { imported: new Map<string, number>(), already: new Map<string, number>() };
  const misfits = new Map<string, Misfit>();
  const add = (to: Map<string, number>, jobs: readonly SourceJob[]): void => {
    for (const { queue } of jobs) to.set(queue, (to.get(queue) ?? 0) + 1);
  };
  const sum = (of: Map<string, number>): number => [...of.values()].reduce((a, b) => a + b, 0);
  return {
    imported: (jobs) => add(counts.imported, jobs),
    already: (jobs) => add(counts.already, jobs),
    /** A walk that begins again meets the same. */
    misfit: (one) => void misfits.set(JSON.stringify([one.queue, one.id]), one),
    done: () => sum(counts.imported) + sum(counts.already),
    queues: () => {
      const misfitsOf = Map.groupBy(misfits.values(), ({ queue }) => queue);
      const known = new Set(found.map(({ queue }) => queue));
      const met = [...counts.imported.keys(), ...counts.already.keys(), ...misfitsOf.keys()];
      const others = [...new Set(met)].filter((queue) => !known.has(queue)).map(emptied); // all of their jobs were held
      return [...found, ...others].map((queue) => ({
        ...queue,
        ...becoming(rowOf(map, queue)),
        imported: counts.imported.get(queue.queue) ?? 0,
        already: counts.already.get(queue.queue) ?? 0,
        misfits: misfitsOf.get(queue.queue)?.length ?? 0,
      }));
    },
    misfits: () => {
      const all = [...misfits.values()];
      const groups = Map.groupBy(all, ({ queue, code, paths }) => JSON.stringify([queue, code, paths]));
      return {
        count: all.length,
        named: all.slice(0, mostNamed),
        groups: [...groups.values()]
          .map((its) => ({
            queue: its[0]!.queue,
            code: its[0]!.code,
            paths: its[0]!.paths,
            count: its.length,
          }))
          .toSorted((a, b) => b.count - a.count)
          .slice(0, mostNamed),
      };
    },
  };
}

const emptied = (queue: string): SourceQueue => ({ queue, pending: 0, inFlight: 0, failed: 0, inFlows: 0 });

function becoming(row: MapRow | undefined): Pick<ImportedQueue, 'target' | 'skip'> {
  if (row === undefined) return { target: null, skip: null };
  if (isSkipped(row)) return { target: null, skip: row.skip };
  return { target: [row.kind, row.name].filter(Boolean).join(' '), skip: null };
}
