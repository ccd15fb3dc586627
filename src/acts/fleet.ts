// What people do to processes of the fleet: each act once for the console, HTTP and the command line. It checks, changes and records in one transaction.

import type { Database } from '../db/pool.ts';
import { audited, type Actor } from '../operate/audit.ts';
import { fleet, type ProcessSeen } from '../process/heartbeat.ts';
import { quietProcess, resumeProcess } from '../process/quieting.ts';
import type { PauseEnd } from '../queues/queues.ts';

/** @throws WaybillError as `quietProcess` */
export const quiet = (db: Database, actor: Actor, id: string, end: PauseEnd): Promise<ProcessSeen> =>
  audited(db, actor, { act: 'process.quiet', target: id, detail: end }, async (tx) => {
    await quietProcess(tx, id, { by: actor.by, reason: actor.reason, ...end });
    return (await fleet(tx, id))[0]!;
  });

/** @throws WaybillError `unknown_process` */
export const goOn = (db: Database, actor: Actor, id: string): Promise<ProcessSeen> =>
  audited(db, actor, { act: 'process.resume', target: id }, async (tx) => {
    await resumeProcess(tx, id);
    return (await fleet(tx, id))[0]!;
  });
