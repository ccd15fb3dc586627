// The refusal of a change that the state of a message does not allow.

import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import type { Status } from '../message/message.ts';
import { isAllowed, type Change } from '../message/transitions.ts';
import { notFound } from './read.ts';

/**
 * Says why a statement changed nothing.
 * @param otherwise the state allows the change: throws the other reason. Default: the state changed meanwhile
 * @throws WaybillError `not_found`, `state_conflict`, or what `otherwise` throws
 */
export async function refuse(
  db: Executor,
  change: Change,
  id: string,
  otherwise?: (status: Status) => never,
): Promise<never> {
  const { rows } = await db.executeSql<{ status: Status }>(
    'select status from waybill.outbox_messages where id = $1',
    [id],
  );
  const status = rows[0]?.status ?? notFound(id);
  if (!isAllowed(change, status))
    throw new WaybillError(
      'state_conflict',
      `the message ${id} is ${status}: ${change} is not possible in this state`,
    );
  otherwise?.(status);
  throw new WaybillError('state_conflict', `the message ${id} changed its state meanwhile: try again`);
}
