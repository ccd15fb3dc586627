// What a message says about flow control (docs/flow.md): its group, its order key, and what its death means for the key.

import { WaybillError } from '../errors.ts';

export const onDeads = ['block', 'skip'] as const;
/** What the death of a message means for the messages behind it with the same order key. */
export type OnDead = (typeof onDeads)[number];

/** What a message says about flow control. */
export type FlowOptions = {
  /** What the message belongs to, such as a tenant. 1 … 200 characters, no control characters. */
  readonly group?: string | undefined;
  /**
   * What the message must be in order with, such as an account: messages of a queue with the same order key are delivered one at a time, in the
   * order of their commits (invariant K). 1 … 200 characters, no control characters.
   */
  readonly orderKey?: string | undefined;
  /** With an order key: whether the key is blocked when the message is dead (default), or goes on. */
  readonly onDead?: OnDead | undefined;
};

export const flowOptions = ['group', 'orderKey', 'onDead'] as const;

/** @throws WaybillError `group_invalid`, `order_key_invalid`, `on_dead_invalid` */
export function checkFlow({ group, orderKey, onDead }: FlowOptions): void {
  if (group !== undefined && !isFlowKey(group))
    throw new WaybillError('group_invalid', `a group has ${flowKeyRule}`);
  if (orderKey !== undefined && !isFlowKey(orderKey))
    throw new WaybillError('order_key_invalid', `an orderKey has ${flowKeyRule}`);
  if (onDead !== undefined && !onDeads.includes(onDead))
    throw new WaybillError('on_dead_invalid', `onDead must be ${onDeads.join(' or ')}`);
}

/** The rule for groups and order keys, as error messages state it. */
export const flowKeyRule = '1 to 200 characters, and no control characters';

/** The same rule as in sql/0001_messages.sql. Only a lone surrogate matches `Cs` in a regular expression with the flag `u`. */
export function isFlowKey(value: unknown): value is string {
  return typeof value === 'string' && /^[^\p{Cc}\p{Cs}]{1,200}$/u.test(value);
}
