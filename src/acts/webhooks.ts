// What people do to endpoints of webhooks. Opening one is resuming its group (queues.ts).

import type { Database } from '../db/pool.ts';
import { webhookName, webhookQueue } from '../define/messages.ts';
import { recordAct, type Actor } from '../operate/audit.ts';
import { showGroup, stateOf, type GroupState } from '../operate/groups.ts';
import { countReplay, replayStep, type Replay } from '../operate/replay.ts';
import { WaybillError } from '../errors.ts';
import { flowKeyRule, isFlowKey } from '../message/flow.ts';
import type { PayloadKeys } from '../message/seal.ts';
import { readEndpointGroup } from '../message/webhook.ts';
import { announceQueueSql } from '../queues/queues.ts';
import { createPostgresOutbox } from '../store/postgres.ts';

export type ReplayGiven = Pick<Replay, 'all' | 'newIds'> & {
  /** As a group: the name of the definition, and `:` and the id where it stands for many. */
  readonly endpoint: string;
  readonly since: Date;
};

export type ReplayDone = { readonly retried: number; readonly hastened: number; readonly recorded: number };

export type ReplayPorts = {
  readonly db: Database;
  readonly maxPayloadBytes: number;
  readonly payloadKeys: PayloadKeys;
};

/** @throws WaybillError `group_invalid` */
function replayOf({ endpoint, ...given }: ReplayGiven): Replay {
  if (!isFlowKey(endpoint)) throw new WaybillError('group_invalid', `an endpoint has ${flowKeyRule}`);
  const name = webhookName(readEndpointGroup(endpoint).endpoint);
  return { ...given, name, queue: webhookQueue, group: endpoint };
}

/** Whether the endpoint is open: one that is not gets nothing for now, whatever is sent again. @throws WaybillError `group_invalid` */
export async function endpointState(db: Database, endpoint: string): Promise<GroupState> {
  if (!isFlowKey(endpoint)) throw new WaybillError('group_invalid', `an endpoint has ${flowKeyRule}`);
  return stateOf(await showGroup(db, webhookQueue, endpoint));
}

/** How many webhooks would be sent again. @throws WaybillError `group_invalid`, `replay_sensitive` */
export const previewReplay = (db: Database, given: ReplayGiven): Promise<ReplayDone> =>
  countReplay(db, replayOf(given));

/**
 * Sends webhooks of an endpoint again, in steps, each in its own transaction, which also records the act. What is recorded meanwhile is not part of it.
 * @throws WaybillError `group_invalid`, `replay_sensitive`
 */
export async function replay(
  { db, ...recording }: ReplayPorts,
  actor: Actor,
  given: ReplayGiven,
  progress: (done: ReplayDone) => void = () => undefined,
): Promise<ReplayDone> {
  const of = replayOf(given);
  if (of.all) await countReplay(db, of); // refuses sensitive payloads before anything is changed
  const { endpoint: target, ...detail } = given;
  let done: ReplayDone = { retried: 0, hastened: 0, recorded: 0 };
  for (let from: string | null | undefined; from !== null;) {
    const step = { ...of, from };
    const { next, ...made } = await db.transaction(async (tx) => {
      const its = await replayStep(tx, createPostgresOutbox(tx, recording), step);
      const count = its.retried + its.hastened + its.recorded;
      await tx.executeSql(announceQueueSql, [webhookQueue]);
      if (count > 0) await recordAct(tx, actor, { act: 'webhooks.replay', target, detail, count });
      return its;
    });
    done = {
      retried: done.retried + made.retried,
      hastened: done.hastened + made.hastened,
      recorded: done.recorded + made.recorded,
    };
    progress(done);
    from = next;
  }
  return done;
}
