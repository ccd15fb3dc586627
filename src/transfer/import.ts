// The import: pending jobs of a source become messages, in batches, each job once. It may be interrupted at any moment and run again.

import type { Executor } from '../db/executor.ts';
import { unusedRows } from './import-map.ts';
import { importedQueues } from './imported-queues.ts';
import { isFit, judge, misfitOf, orderOf, type Fit, type Judging, type Misfit } from './judge.ts';
import { knownLines } from './known-lines.ts';
import { keyTaken, recordFits, wereRecorded, withTakenKeys, type Recording } from './recording.ts';
import type { Handling, Place, Source, SourceJob, SourceQueue, Survey } from './source.ts';
import { createTally, type ImportedQueue, type Tally } from './tally.ts';

export type ImportOptions = {
  /** Only counts and checks. */
  readonly dryRun: boolean;
  /** Nothing is recorded while a job does not fit. */
  readonly strict: boolean;
  /** Queues without a row in the map stay as they are; without it, they are an error. */
  readonly skipUnmapped: boolean;
  /** Also the jobs that the source has given up; they are attempted again. */
  readonly failed: boolean;
  /** At most so many jobs; undefined: all. */
  readonly limit: number | undefined;
  readonly batchSize: number;
  /** Aborted: it stops after the batch. */
  readonly signal: AbortSignal;
  /** Called after each batch with the number of jobs that are done, of those that were found. */
  readonly onProgress: (done: number, found: number) => void;
};

export type ImportReport = Pick<Survey, 'version' | 'schedules'> & {
  readonly source: string;
  readonly dryRun: boolean;
  /** `--limit`; null: none. A dry run checks all jobs. */
  readonly limit: number | null;
  readonly queues: readonly ImportedQueue[];
  /** Rows of the map that no job of the source belongs to. */
  readonly unusedRows: readonly string[];
  readonly imported: number;
  readonly already: number;
  readonly misfits: ReturnType<Tally['misfits']>;
  /** `stopped`: it was interrupted; `misfits`: nothing was recorded, because of `strict`; `limit`: it reached its limit. */
  readonly end: 'done' | 'stopped' | 'misfits' | 'limit';
  /** Jobs of the imported queues that still wait in the source: misfits, and what came in meanwhile. */
  readonly left: number;
  /** Jobs that the import holds and has not recorded. */
  readonly held: number;
};

type Run = {
  readonly source: Source;
  readonly judging: Judging;
  readonly recording: Recording;
  readonly options: ImportOptions;
  readonly tally: Tally;
  readonly queues: readonly SourceQueue[];
  readonly found: number;
  /** Order keys of which a job does not fit: the jobs behind it must not overtake it. */
  readonly blocked: Set<string>;
};

/**
 * Imports the pending jobs of a source.
 * @throws WaybillError `queues_unmapped`, `source_unsupported`, and those of the source's `survey`
 */
export async function importJobs(
  source: Source,
  judging: Judging,
  recording: Recording,
  options: ImportOptions,
): Promise<ImportReport> {
  const survey = await source.survey();
  const which = { ...options, source: source.name, map: judging.map };
  const { queues, waits, stillWaiting } = importedQueues(survey.queues, which);
  const tally = createTally(survey.queues, judging.map);
  const found = queues.reduce((sum, queue) => sum + waits(queue), survey.held);
  const run: Run = { source, judging, recording, options, tally, queues, found, blocked: new Set() };
  let end = await work(run);
  let after = options.dryRun ? survey : await source.survey();
  const moves = !options.dryRun && source.name !== 'ndjson';
  // A walk misses jobs that move towards its beginning meanwhile, because workers took those before them. Counts do not tell them from misfits.
  if (moves && end === 'done' && stillWaiting(after.queues) > 0) {
    end = await walkAll(run, { isFirst: false });
    after = await source.survey();
  }
  const still = stillWaiting(after.queues);
  const counted = tally.queues();
  return {
    source: source.name,
    dryRun: options.dryRun,
    version: survey.version,
    schedules: survey.schedules,
    limit: options.limit ?? null,
    queues: counted,
    unusedRows: unusedRows(judging.map, counted),
    imported: counted.reduce((sum, queue) => sum + queue.imported, 0),
    already: counted.reduce((sum, queue) => sum + queue.already, 0),
    misfits: tally.misfits(),
    end,
    left: source.name === 'ndjson' ? Math.max(0, still - tally.done()) : still, // a file keeps its lines
    held: after.held,
  };
}

async function work(run: Run): Promise<ImportReport['end']> {
  const { dryRun, strict, failed } = run.options;
  if (dryRun || strict) {
    for (const which of kindsOf(failed)) await look(run, which, dryRun);
    if (dryRun) return run.options.signal.aborted ? 'stopped' : 'done';
    if (run.tally.misfits().count > 0) return 'misfits';
  }
  await resume(run);
  return walkAll(run, { isFirst: true });
}

/** Later walks meet the same misfits again: the first one counts them. */
type Turn = { readonly isFirst: boolean };

async function walkAll(run: Run, turn: Turn): Promise<ImportReport['end']> {
  for (const which of kindsOf(run.options.failed)) await walk(run, which, turn);
  if (run.options.signal.aborted) return 'stopped';
  return sizeOf(run) === 0 ? 'limit' : 'done';
}

/** Jobs that wait, then those that were given up. */
const kindsOf = (failed: boolean): boolean[] => (failed ? [false, true] : [false]);

/** Jobs of the next batch. */
function sizeOf({ tally, options: { limit = Number.POSITIVE_INFINITY, batchSize } }: Run): number {
  return Math.max(0, Math.min(batchSize, limit - tally.recorded()));
}

/** Judges all jobs, and changes nothing. */
async function look(run: Run, failed: boolean, counts: boolean): Promise<void> {
  const { source, queues, tally, options, found } = run;
  let after: Place | undefined;
  do {
    if (options.signal.aborted) return;
    const { jobs, next } = await source.read({ queues, failed, after, limit: options.batchSize });
    const fits = await chosen(run, jobs, { known: counts, misfits: true });
    if (counts) tally.imported(fits.map(({ job }) => job));
    options.onProgress(tally.done(), found);
    after = next;
  } while (after !== undefined);
}

/** Goes on with what an interrupted import holds. Its messages may be recorded already. */
async function resume(run: Run): Promise<void> {
  const { source, recording, tally, options, found } = run;
  type Held = Fit | { readonly job: SourceJob; readonly message: undefined };
  const handling: Handling<Held> = {
    async choose(jobs) {
      const recorded = await wereRecorded(recording.db, source.name, jobs);
      const rest = jobs.filter((job) => !recorded.has(job));
      const fits = await chosen(run, rest, { known: true, misfits: true });
      return [...[...recorded].map((job) => ({ job, message: undefined })), ...fits];
    },
    async record(held) {
      const recorded = held.flatMap(({ job, message }) => (message === undefined ? [job] : []));
      tally.already(recorded);
      return [
        ...recorded,
        ...(await record(
          run,
          held.filter((one) => one.message !== undefined),
        )),
      ];
    },
  };
  for (let last = ''; !options.signal.aborted;) {
    const limit = sizeOf(run);
    if (limit === 0) return;
    const moved = await source.resume(last, limit, handling);
    if (moved.read === 0) return;
    options.onProgress(tally.done(), found);
    last = moved.last;
  }
}

/** Walks until no job is left that fits: while the source goes on working, jobs come back from its workers, and new ones come in. */
async function walk(run: Run, failed: boolean, turn: Turn): Promise<void> {
  const { source, queues, tally, options, found } = run;
  let { isFirst } = turn;
  const handling: Handling<Fit> = {
    choose: (jobs) => chosen(run, jobs, { known: true, misfits: isFirst }),
    record: (fits, tx) => record(run, fits, tx),
  };
  for (let left = 1; left > 0;) {
    left = 0;
    let after: Place | undefined;
    do {
      const limit = sizeOf(run);
      if (options.signal.aborted || limit === 0) return;
      const moved = await source.move({ queues, failed, after, limit }, handling);
      options.onProgress(tally.done(), found);
      left += moved.left;
      after = moved.next;
    } while (after !== undefined);
    isFirst = false;
  }
}

/** What is counted: nothing that another walk counts. */
type Counts = {
  /** Lines whose messages are here. */
  readonly known: boolean;
  readonly misfits: boolean;
};

async function chosen(run: Run, jobs: readonly SourceJob[], counts: Counts): Promise<Fit[]> {
  const { judging, recording, tally, blocked } = run;
  const known = judging.source === 'ndjson' ? await knownLines(recording.db, jobs) : new Set<SourceJob>();
  if (counts.known) tally.already([...known]);
  const all: { readonly job: SourceJob; readonly its: Fit | Misfit }[] = [];
  for (const job of jobs.filter((one) => !known.has(one))) {
    const its = await judge(job, judging);
    if (its !== undefined) all.push({ job, its });
  }
  const taken = await withTakenKeys(recording.db, judging.source, all.map(({ its }) => its).filter(isFit));
  const staying = (fit: Fit, order: string | undefined): Misfit | undefined => {
    if (taken.has(fit)) return keyTaken(fit.job);
    return order !== undefined && blocked.has(order) ? misfitOf(fit.job, 'behind_misfit') : undefined;
  };
  return all.flatMap(({ job, its }) => {
    const order = orderOf(judging.source, job);
    const misfit = isFit(its) ? staying(its, order) : its;
    if (isFit(its) && misfit === undefined) return [its];
    if (counts.misfits) tally.misfit(misfit!);
    if (order !== undefined) blocked.add(order);
    return [];
  });
}

async function record({ recording, tally }: Run, fits: readonly Fit[], tx?: Executor): Promise<SourceJob[]> {
  const { recorded, already, taken } = await recordFits(recording, fits, tx);
  tally.imported(recorded);
  tally.already(already);
  for (const misfit of taken) tally.misfit(misfit);
  return [...recorded, ...already];
}
