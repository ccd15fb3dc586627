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

/** Misfits that are named one by one, and groups that are shown. The groups count all. */
const mostNamed = 100;

/** Groups that are counted apart. Beyond these, the paths are left out: payloads may have any. */
const mostGroups = 10_000;

export type Tally = {
  imported(jobs: readonly SourceJob[]): void;
  already(jobs: readonly SourceJob[]): void;
  /** Counts a misfit: the caller sees that none is counted twice. */
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
  const misfits = { byQueue: new Map<string, number>(), groups: new Map<string, MisfitGroup>() };
  const named: Misfit[] = [];
  /** Queues that the source did not have when it was counted: all of their jobs were held. */
  const others = new Map<string, SourceQueue>();
  const known = new Set(found.map(nameOf));
  const meet = (job: Named): string => {
    const name = nameOf(job);
    if (!known.has(name)) others.set(name, emptied(job));
    return name;
  };
  const add = (to: Map<string, number>, jobs: readonly Named[]): void => {
    for (const name of jobs.map(meet)) to.set(name, (to.get(name) ?? 0) + 1);
  };
  const sum = (of: Map<string, number>): number => [...of.values()].reduce((a, b) => a + b, 0);
  return {
    imported: (jobs) => add(counts.imported, jobs),
    already: (jobs) => add(counts.already, jobs),
    misfit(one) {
      add(misfits.byQueue, [one]);
      addTo(misfits.groups, one);
      if (named.length < mostNamed) named.push(one);
    },
    done: () => sum(counts.imported) + sum(counts.already),
    recorded: () => sum(counts.imported),
    queues: () => {
      return [...found, ...others.values()].map((queue) => ({
        ...queue,
        ...becoming(rowOf(map, queue)),
        imported: counts.imported.get(nameOf(queue)) ?? 0,
        already: counts.already.get(nameOf(queue)) ?? 0,
        misfits: misfits.byQueue.get(nameOf(queue)) ?? 0,
      }));
    },
    misfits: () => ({ count: sum(misfits.byQueue), named, groups: largest(misfits.groups) }),
  };
}

function addTo(groups: Map<string, MisfitGroup>, { queue, code, paths: all }: Misfit): void {
  const keyOf = (paths: readonly string[]): string => JSON.stringify([queue, code, paths]);
  const paths = groups.size < mostGroups || groups.has(keyOf(all)) ? all : [];
  const { count = 0 } = groups.get(keyOf(paths)) ?? {};
  groups.set(keyOf(paths), { queue, code, paths, count: count + 1 });
}

const largest = (groups: ReadonlyMap<string, MisfitGroup>): MisfitGroup[] =>
  [...groups.values()].toSorted((a, b) => b.count - a.count).slice(0, mostNamed);

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
