// What people do to groups of failures: each act once for the console, HTTP and the command line.

import type { Database } from '../db/pool.ts';
import { WaybillError } from '../errors.ts';
import { audited, type Actor } from '../operate/audit.ts';
import { countFailures } from '../operate/failures.ts';
import { windows } from '../operate/grouping.ts';
import { deleteMute, insertMute, type MuteView } from '../operate/mute.ts';

export type Muted = { readonly key: string; readonly isMuted: boolean };

/**
 * Mutes a group of failures until it changes: it grows to more than twice its messages, or 30 days pass.
 * @param key of the group
 * @throws WaybillError `not_found`: no failures of the last 7 days have this key
 */
export async function muteFailures(db: Database, actor: Actor, key: string): Promise<Muted> {
  const counts = await countsOf(db, key);
  await audited(db, actor, { act: 'failures.mute', target: key, count: counts['7d'] }, (tx) =>
    insertMute(tx, { key, by: actor.by, reason: actor.reason, counts }),
  );
  return { key, isMuted: true };
}

async function countsOf(db: Database, key: string): Promise<MuteView['counts']> {
  const counts = { '1h': 0, '24h': 0, '7d': 0 };
  for (const window of windows) counts[window] = await countFailures(db, window, key);
  if (counts['7d'] > 0) return counts;
  throw new WaybillError(
    'not_found',
    `no failures of the last 7 days have the key ${JSON.stringify(key.slice(0, 40))}: \`waybill outbox failures\` shows the keys`,
  );
}

/** Shows a group again. @throws WaybillError `not_found` */
export async function unmuteFailures(db: Database, actor: Actor, key: string): Promise<Muted> {
  await audited(db, actor, { act: 'failures.unmute', target: key.slice(0, 100) }, (tx) =>
    deleteMute(tx, key),
  );
  return { key, isMuted: false };
}
