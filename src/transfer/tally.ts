// The counts of an import, by queue of the source, and the misfits that people look at.

import { isSkipped, rowOf, type ImportMap, type MapRow } from './import-map.ts';
import type { Misfit } from './judge.ts';
import { nameOf, type SourceJob, type SourceQueue } from './source.ts';

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
  /** Jobs that became messages. */
  recorded(): number;
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
  /** Queues that the source did not have when it was counted: all of their jobs were held. */
  const others = new Map<string, SourceQueue>();
  const known = new Set(found.map(nameOf));
  const meet = (job: Named): string => {
    const name = nameOf(job);
    if (!known.has(name)) others.set(name, emptied(job));
    return name;
  };
  const add = (to: Map<string, number>, jobs: readonly SourceJob[]): void => {
    for (const name of jobs.map(meet)) to.set(name, (to.get(name) ?? 0) + 1);
  };
  const sum = (of: Map<string, number>): number => [...of.values()].reduce((a, b) => a + b, 0);
  return {
    imported: (jobs) => add(counts.imported, jobs),
    already: (jobs) => add(counts.already, jobs),
    /** A walk that begins again meets the same. */
    misfit: (one) => void misfits.set(JSON.stringify([meet(one), one.id, one.made]), one),
    done: () => sum(counts.imported) + sum(counts.already),
    recorded: () => sum(counts.imported),
    queues: () => {
      const misfitsOf = Map.groupBy(misfits.values(), nameOf);
      return [...found, ...others.values()].map((queue) => ({
        ...queue,
        ...becoming(rowOf(map, queue)),
        imported: counts.imported.get(nameOf(queue)) ?? 0,
        already: counts.already.get(nameOf(queue)) ?? 0,
        misfits: misfitsOf.get(nameOf(queue))?.length ?? 0,
      }));
    },
    misfits: () => {
      const all = [...misfits.values()];
      return { count: all.length, named: all.slice(0, mostNamed), groups: grouped(all) };
    },
  };
}

function grouped(misfits: readonly Misfit[]): MisfitGroup[] {
  const groups = Map.groupBy(misfits, ({ queue, code, paths }) => JSON.stringify([queue, code, paths]));
  return [...groups.values()]
    .map((its) => {
      const { queue, code, paths } = its[0]!;
      return { queue, code, paths, count: its.length };
    })
    .toSorted((a, b) => b.count - a.count)
    .slice(0, mostNamed);
}

type Named = Pick<SourceQueue, 'queue' | 'within'>;

const emptied = ({ queue, within }: Named): SourceQueue => ({
  queue,
  within,
  pending: 0,
  inFlight: 0,
  failed: 0,
  inFlows: 0,
});

function becoming(row: MapRow | undefined): Pick<ImportedQueue, 'target' | 'skip'> {
  if (row === undefined) return { target: null, skip: null };
  if (isSkipped(row)) return { target: null, skip: row.skip };
  return { target: [row.kind, row.name].filter(Boolean).join(' '), skip: null };
}
