// What people do to the suppression list: each act once for the console, HTTP and the command line. The audit does not have the address.

import type { Database } from '../db/pool.ts';
import { suppress, unsuppress } from '../email/suppression.ts';
import { audited, type Actor } from '../operate/audit.ts';

/** @throws WaybillError `address_invalid` */
export const suppressAddress = (
  db: Database,
  actor: Actor,
  address: string,
  reason: string,
): Promise<boolean> =>
  audited(db, { ...actor, reason }, { act: 'suppression.add' }, (tx) => suppress(tx, address, reason));

export const unsuppressAddress = (db: Database, actor: Actor, address: string): Promise<boolean> =>
  audited(db, actor, { act: 'suppression.remove' }, (tx) => unsuppress(tx, address));
