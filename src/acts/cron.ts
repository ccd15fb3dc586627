// What people do to cron jobs: each act once for the console, HTTP and the command line. It checks, changes and records in one transaction.

import { backfill, type Backfill, type Range } from '../cron/backfill.ts';
import { disable, enable } from '../cron/disabling.ts';
import type { RunView } from '../cron/history.ts';
import { runByHand } from '../cron/manual.ts';
import { findJob, showJob, type JobView } from '../cron/overview.ts';
import { createZones, type Instant } from '../cron/zones.ts';
import type { Database } from '../db/pool.ts';
import { WaybillError } from '../errors.ts';
import { audited, recordAct, type Actor } from '../operate/audit.ts';
import type { PauseEnd } from '../queues/queues.ts';
import { unconfirmed } from './bulk.ts';

/** @throws WaybillError as `runByHand` */
export const runCron = (
  db: Database,
  actor: Actor,
  name: string,
  scheduledAt: Instant | null,
): Promise<RunView> =>
  audited(db, actor, { act: 'cron.run', target: name, detail: { scheduledAt } }, (tx) =>
    runByHand(tx, name, scheduledAt),
  );

/** @throws WaybillError `unknown_cron_job`, as `disable` */
export const disableCron = (db: Database, actor: Actor, name: string, end: PauseEnd): Promise<JobView> =>
  audited(db, actor, { act: 'cron.disable', target: name, detail: end }, async (tx) => {
    await findJob(tx, name);
    await disable(tx, name, { by: actor.by, reason: actor.reason, ...end });
    return showJob(tx, createZones(), name);
  });

/** @throws WaybillError `unknown_cron_job` */
export const enableCron = (db: Database, actor: Actor, name: string): Promise<JobView> =>
  audited(db, actor, { act: 'cron.enable', target: name }, async (tx) => {
    await findJob(tx, name);
    await enable(tx, name);
    return showJob(tx, createZones(), name);
  });

export type BackfillOptions = {
  /** Only says which ticks would run. */
  readonly dryRun?: boolean;
  /** How many ticks should run, as a dry run said. Needed above 100. */
  readonly expect?: number | undefined;
};

/** @throws WaybillError as `backfill`; `count_required`, `count_differs` */
export const backfillCron = (
  db: Database,
  actor: Actor,
  name: string,
  range: Range,
  { dryRun = false, expect }: BackfillOptions = {},
): Promise<Backfill> =>
  db.transaction(async (tx) => {
    const done = await backfill(tx, createZones(), name, range, dryRun);
    const count = done.runs.length;
    if (dryRun) return done;
    checkCount(count, expect);
    await recordAct(tx, actor, { act: 'cron.backfill', target: name, count, detail: range });
    return done;
  });

function checkCount(count: number, expect: number | undefined): void {
  if (expect === undefined && count > unconfirmed)
    throw new WaybillError(
      'count_required',
      `${count} ticks would run: look at the preview (a dry run), then give their count as expect: ${count} (--expect ${count})`,
    );
  if (expect !== undefined && expect !== count)
    throw new WaybillError(
      'count_differs',
      `${count} ticks would run, and ${expect} were expected: look at the preview again`,
    );
}
