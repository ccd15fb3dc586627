// What people do to cron jobs: each act once for the console, HTTP and the command line. It checks, changes and records in one transaction.

import type { RunView } from '../cron/history.ts';
import { runByHand } from '../cron/manual.ts';
import type { Instant } from '../cron/zones.ts';
import type { Database } from '../db/pool.ts';
import { audited, type Actor } from '../operate/audit.ts';

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
