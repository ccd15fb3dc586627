// One run: start the fleet, place orders, strike faults, wait for quiet, count.

import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './clock.ts';
import { count } from './count.ts';
import type { FaultName } from './fault.ts';
import { journalOf, type Journal } from './journal.ts';
import { startLoad, type Load } from './load.ts';
import { planOf } from './plan.ts';
import type { Report } from './report.ts';
import { drawFrom } from './seed.ts';
import { keepLogs, leaseMs, withStage, type Stage } from './stage.ts';
import { faults, strikeAll, type Struck } from './strikes.ts';
import type { Subject, Waiting } from './subject.ts';
import type { View } from './view.ts';

/** After the last fault, the number of messages that are not settled must fall again and again within this time, down to none. */
const quietMs = 90_000;
const longestMs = 900_000;

export type RunOptions = {
  readonly subject: Subject;
  /** Its name on the command line, where it is not Waybill. */
  readonly peer?: string | undefined;
  readonly minutes: number;
  readonly faults: readonly FaultName[];
  readonly seed: number;
  readonly rate: number;
  readonly view: View;
  /** Keep logs and journals although every promise held. */
  readonly logs?: boolean;
  /** Ends the faults and the load early. */
  readonly signal: AbortSignal;
};

export async function run(options: RunOptions): Promise<Report> {
  return withStage(options.subject, options.faults.includes('disk'), (stage) => runOn(stage, options));
}

async function runOn(stage: Stage, options: RunOptions): Promise<Report> {
  const { subject, db } = stage;
  const { faults: wanted, minutes, seed, rate, view } = options;
  const problems = wanted.map((name) => [name, faults[name].problem(stage)] as const);
  const skipped = Object.fromEntries(problems.filter(([, why]) => why !== undefined)) as Record<
    string,
    string
  >;
  for (const [name, why] of Object.entries(skipped)) view.say(`SKIPPED, not tested: ${name}: ${why}`);
  const able = wanted.filter((name) => !(name in skipped));
  const draw = drawFrom(seed);
  const plan = planOf({ faults: able, minutes, draw });
  await subject.settleIn?.(db);
  const load = startLoad({ db, subject, draw: drawFrom(seed + 1), rate, leaseMs });
  const journal = journalOf(stage.processes.members);
  const struck: Struck[] = [];
  const over = AbortSignal.any([options.signal, AbortSignal.timeout(minutes * 60_000)]);
  const watching = watch(stage, { load, journal, struck, over, minutes, view });
  await strikeAll({ world: stage, plan, signal: over, say: view.say }, struck);
  await watching;
  await load.stop();
  view.say('no more faults; waiting until everything is settled');
  const waiting = await quiet(stage, view);
  journal.read();
  const report = await count(stage, options, { load, journal, struck, waiting, skipped });
  if (report.breaches.length > 0 || options.logs)
    view.say(`logs and journals are in ${keepLogs(stage, `logs-${seed}`)}`);
  return report;
}

type Watched = {
  readonly load: Load;
  readonly journal: Journal;
  readonly struck: readonly Struck[];
  readonly over: AbortSignal;
  readonly minutes: number;
  readonly view: View;
};

/** Shows how it goes, and moves a cron job into the past every two seconds. */
async function watch(stage: Stage, { load, journal, struck, over, minutes, view }: Watched): Promise<void> {
  const from = now();
  for (let i = 0; !over.aborted; i++) {
    journal.read();
    const last = struck.at(-1);
    view.show({
      seconds: (now() - from) / 1_000,
      ofSeconds: minutes * 60,
      placed: load.placed,
      delivered: journal.entries.filter(({ what }) => what === 'did').length + stage.mail.mails.length,
      faults: Object.fromEntries(
        [...Map.groupBy(struck, ({ fault }) => fault)].map(([name, its]) => [name, its.length]),
      ),
      now: last === undefined || last.to < now() ? 'no fault' : last.text,
    });
    if (i % 2 === 0) await stage.subject.tick?.(stage.db).catch(() => undefined); // the database may be away
    await sleep(1_000, undefined, { signal: over }).catch(() => undefined);
  }
  view.end();
}

/** @returns what is not settled although nothing has become less for `quietMs`, or after `longestMs` */
async function quiet({ subject, processes, db }: Stage, view: View): Promise<readonly Waiting[]> {
  const from = now();
  let [changed, least, said] = [from, Number.POSITIVE_INFINITY, from];
  let last: readonly Waiting[] = [{ what: 'the database does not answer', count: 1 }];
  while (now() < Math.min(changed + quietMs, from + longestMs)) {
    last = await subject.waiting(db).catch(() => last);
    const total = last.reduce((sum, { count: n }) => sum + n, 0);
    if (total === 0 && processes.members.every((one) => one.isUp())) return [];
    if (total < least) [changed, least] = [now(), total];
    if (now() - said > 10_000) {
      said = now();
      view.say(`${total} are not settled yet`);
    }
    await sleep(200);
  }
  const down = processes.members.filter((one) => !one.isUp());
  return [...last, ...down.map(({ spec }) => ({ what: `${spec.name} does not work`, count: 1 }))];
}
