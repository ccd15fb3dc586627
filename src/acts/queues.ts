// What people do to queues, their groups and order keys: each act once for the console, HTTP and the command line. It checks, changes and records in one transaction.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import {
  cancelGroup,
  pauseGroup,
  resumeGroup,
  type GroupCancelled,
  type GroupView,
} from '../operate/groups.ts';
import { limitQueue, resetLimits } from '../operate/limits.ts';
import { unblockKey, type Unblocked } from '../operate/order.ts';
import type { Limits } from '../queues/limits.ts';
import {
  checkKnown,
  knownQueuesSql,
  pauseQueue,
  resumeQueue,
  showQueue,
  type PauseEnd,
  type QueueView,
} from '../queues/queues.ts';
import { audited, recordAct, type Actor } from '../operate/audit.ts';

const about = ({ by, reason }: Actor): { readonly by: string; readonly reason: string | null } => ({
  by,
  reason,
});

/** @throws WaybillError as `pauseQueue` */
export const pause = (db: Database, actor: Actor, name: string, end: PauseEnd): Promise<QueueView> =>
  audited(db, actor, { act: 'queue.pause', target: name, detail: end }, (tx) =>
    pauseQueue(tx, name, { ...about(actor), ...end }),
  );

/**
 * Pauses every known queue but these. One that is added later is open.
 * @throws WaybillError as `pauseQueue`
 */
export async function pauseAll(
  db: Database,
  actor: Actor,
  except: readonly string[],
  end: PauseEnd,
): Promise<QueueView[]> {
  return eachQueue(db, actor, 'queue.pause', except, end, (tx, name) =>
    pauseQueue(tx, name, { ...about(actor), ...end }),
  );
}

/**
 * Resumes every closed queue but these.
 * @throws WaybillError `unknown_queue`
 */
export const resumeAll = (db: Database, actor: Actor, except: readonly string[]): Promise<QueueView[]> =>
  eachQueue(db, actor, 'queue.resume', except, {}, async (tx, name) => {
    const queue = await showQueue(tx, name);
    return queue.state === 'open' ? null : resumeQueue(tx, name);
  });

/** Names of all known queues without these. @throws WaybillError `unknown_queue` of an exception */
async function queuesExcept(db: Executor, except: readonly string[]): Promise<string[]> {
  const { rows } = await db.executeSql<{ name: string }>(knownQueuesSql);
  const names = rows.map((row) => row.name);
  for (const name of except) if (!names.includes(name)) await checkKnown(db, name);
  return names.filter((name) => !except.includes(name));
}

async function eachQueue(
  db: Database,
  actor: Actor,
  act: 'queue.pause' | 'queue.resume',
  except: readonly string[],
  detail: object,
  one: (tx: Executor, name: string) => Promise<QueueView | null>,
): Promise<QueueView[]> {
  return db.transaction(async (tx) => {
    const done: QueueView[] = [];
    for (const name of await queuesExcept(tx, except))
      done.push(...[await one(tx, name)].filter((q) => q !== null));
    await recordAct(tx, actor, { act, filter: { all: true, except }, count: done.length, detail });
    return done;
  });
}

/** @throws WaybillError as `resumeQueue` */
export const resume = (db: Database, actor: Actor, name: string): Promise<QueueView> =>
  audited(db, actor, { act: 'queue.resume', target: name }, (tx) => resumeQueue(tx, name));

/**
 * @param limits undefined: the application's hold again
 * @throws WaybillError `unknown_queue`
 */
export const limit = (
  db: Database,
  actor: Actor,
  name: string,
  limits: Limits | undefined,
): Promise<QueueView> =>
  limits
    ? audited(db, actor, { act: 'queue.limit', target: name, detail: limits }, (tx) =>
        limitQueue(tx, name, limits, about(actor)),
      )
    : audited(db, actor, { act: 'queue.reset', target: name }, (tx) => resetLimits(tx, name, about(actor)));

type OfGroup = { readonly queue: string; readonly group: string };

/** @throws WaybillError as `pauseGroup` */
export const pauseOf = (
  db: Database,
  actor: Actor,
  { queue, group }: OfGroup,
  end: PauseEnd,
): Promise<GroupView> =>
  audited(db, actor, { act: 'group.pause', target: queue, detail: { group, ...end } }, (tx) =>
    pauseGroup(tx, queue, group, { ...about(actor), ...end }),
  );

/** @throws WaybillError as `resumeGroup` */
export const resumeOf = (db: Database, actor: Actor, { queue, group }: OfGroup): Promise<GroupView> =>
  audited(db, actor, { act: 'group.resume', target: queue, detail: { group } }, (tx) =>
    resumeGroup(tx, queue, group),
  );

/** @throws WaybillError as `cancelGroup` */
export async function cancelOf(
  db: Database,
  actor: Actor,
  { queue, group }: OfGroup,
  options: Parameters<typeof cancelGroup>[3] = {},
): Promise<GroupCancelled> {
  const result = await cancelGroup(db, queue, group, options);
  if (!options.dryRun)
    await recordAct(db, actor, {
      act: 'group.cancel',
      target: queue,
      detail: { group },
      count: result.cancelled,
    });
  return result;
}

/** @throws WaybillError as `unblockKey` */
export const unblock = (
  db: Database,
  actor: Actor,
  key: { readonly queue: string; readonly orderKey: string },
): Promise<Unblocked> =>
  audited(db, actor, { act: 'key.unblock', target: key.queue, detail: { orderKey: key.orderKey } }, (tx) =>
    unblockKey(tx, key, about(actor)),
  );
