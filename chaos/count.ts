// Counts what a run left behind, and holds the promises against it.

import { deliveriesOf, doublesOf, poisoned } from './deliveries.ts';
import { now } from './clock.ts';
import type { Journal } from './journal.ts';
import type { Load } from './load.ts';
import { graceMs, type Launch } from './processes.ts';
import { dueAgain, timesOf, type Again } from './recovery.ts';
import { againFigures, machineOf, rowsOf, type Report } from './report.ts';
import type { RunOptions } from './run.ts';
import { leaseMs, slots, type Stage } from './stage.ts';
import type { Struck } from './strikes.ts';
import type { Breach, Ending, Waiting } from './subject.ts';
import { judge, type Verdict } from './verdict.ts';

export type Counted = {
  readonly load: Load;
  readonly journal: Journal;
  readonly struck: Struck[];
  readonly waiting: readonly Waiting[];
  readonly skipped: Readonly<Record<string, string>>;
};

export async function count(stage: Stage, options: RunOptions, counted: Counted): Promise<Report> {
  const { subject, db, server, mail, processes } = stage;
  const { load, journal, struck, waiting, skipped } = counted;
  const launches = processes.members.flatMap((one) => one.launches);
  const deliveries = deliveriesOf(journal.entries, mail.mails, launches);
  const all = [...struck, ...poisoned(journal.entries)].toSorted((a, b) => a.from - b.from);
  const doubles = doublesOf(deliveries, { struck: all, afterMs: 2 * leaseMs, slots });
  const committed = (await db.query<{ id: string }>('select id from chaos.orders')).rows.map(({ id }) => id);
  const writes = await writesOf(stage);
  const verdict = judge({
    parts: subject.parts,
    committed,
    rolledBack: load.rolledBack,
    deliveries,
    doubles,
    entries: journal.entries,
    struck: all,
    ...writes,
    waiting,
    held: (await subject.held?.(db)) ?? new Set(),
    slots,
  });
  const ending = withOverdue(launches, await subject.ending(db, cleanEnds(launches)));
  const again = dueAgain(ending.foundDead, launches, all);
  const breaches = [...verdict.breaches, ...ending.breaches, ...late(again)];
  const figures = {
    committed: committed.length,
    parts: subject.parts.length,
    verdict,
    ending,
    again,
    doubles: doubles.length,
  };
  return {
    subject: subject.name,
    about: subject.about,
    machine: machineOf(server.version),
    at: new Date().toISOString(),
    ...asked(options),
    skipped,
    figures: figuresOf(counted, figures),
    byFault: rowsOf(all, doubles, timesOf(deliveries)),
    breaches: await withTimelines(stage, breaches),
  };
}

function asked({
  seed,
  minutes,
  rate,
  faults,
  peer,
}: RunOptions): Pick<Report, 'seed' | 'minutes' | 'faults' | 'repeat'> {
  const names = faults.join(',') || 'none';
  const repeat = `npm run chaos -- --minutes ${minutes} --faults ${names} --seed ${seed} --rate ${rate}${peer ? ` --peer ${peer}` : ''}`;
  return { seed, minutes, faults, repeat };
}

type Figures = {
  readonly committed: number;
  readonly parts: number;
  readonly verdict: Verdict;
  readonly ending: Ending;
  readonly again: readonly Again[];
  readonly doubles: number;
};

function figuresOf(
  { load, struck }: Counted,
  { committed, parts, verdict, ending, again, doubles }: Figures,
): Report['figures'] {
  const works = committed * parts;
  return {
    'orders placed': load.placed,
    'rolled back on purpose': load.rolledBack.size,
    committed,
    'parts of committed orders': works,
    delivered: works - verdict.lost.length - verdict.late.length,
    lost: verdict.lost.length,
    'not done yet (waiting, or held by a dead worker)': verdict.late.length,
    'ghosts (sent without a commit)': verdict.ghosts.length,
    duplicates: doubles,
    'writes twice in the database': verdict.effectsTwice.length,
    'stale settlements accepted': verdict.staleAccepted.length,
    'out of order': verdict.outOfOrder,
    'over the limit': verdict.overLimit,
    ...ending.columns,
    ...againFigures(again),
    faults: struck.length,
  };
}

async function writesOf({ db }: Stage) {
  const effects = await db.query<{ work: string; attempts: number[] }>(
    'select work, array_agg(attempt) as attempts from chaos.effects group by 1',
  );
  const sequence = await db.query<{ account: string; seqs: number[] }>(
    'select account, array_agg(seq order by id) as seqs from chaos.sequence group by 1',
  );
  return {
    effects: new Map(effects.rows.map(({ work, attempts }) => [work, attempts])),
    sequence: new Map(sequence.rows.map(({ account, seqs }) => [account, seqs])),
  };
}

/** Processes that were asked to end and did so without an error, by their ids, with the time of the request since the epoch. */
function cleanEnds(launches: readonly Launch[]): ReadonlyMap<number, number> {
  const toEpoch = Date.now() - now();
  return new Map(
    launches.flatMap(({ pid, asked, how }) =>
      asked !== undefined && how === 0 ? [[pid, asked + toEpoch]] : [],
    ),
  );
}

/** Adds the processes that a deploy had to kill. */
function withOverdue(launches: readonly Launch[], { columns, breaches, ...ending }: Ending): Ending {
  const names = launches.flatMap(({ overdue, name }) => (overdue ? [name] : []));
  const promise = `a process ends within ${graceMs / 1_000} s of SIGTERM`;
  return {
    ...ending,
    columns: { ...columns, [`killed ${graceMs / 1_000} s after SIGTERM`]: names.length },
    breaches: names.length === 0 ? breaches : [...breaches, { promise, text: names.join(', '), works: [] }],
  };
}

/** Promise 5: within the lease and two seconds. */
function late(again: readonly Again[]): Breach[] {
  const those = again.filter(({ ms, isDisturbed }) => !isDisturbed && ms > leaseMs + 2_000);
  if (those.length === 0) return [];
  const text = `${those.length} messages were due again ${Math.round(Math.max(...those.map(({ ms }) => ms)))} ms after the kill at the latest`;
  const works = those.slice(0, 10).map(({ work }) => work);
  return [
    { promise: `what a killed process had claimed is due again within ${leaseMs + 2_000} ms`, text, works },
  ];
}

async function withTimelines(
  { subject, db }: Stage,
  breaches: readonly Breach[],
): Promise<Report['breaches']> {
  const whole = [];
  for (const breach of breaches) {
    const timelines: Record<string, readonly string[]> = {};
    for (const work of breach.works)
      timelines[work] = await subject.timeline(db, work).catch((error: Error) => [error.message]);
    whole.push({ ...breach, timelines });
  }
  return whole;
}
