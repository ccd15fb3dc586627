// The line of a delivery: the one that is written for each message. What messages of one definition share is made into text once.

import { traceIdOf } from '../trace/trace.ts';
import type { Log } from './log.ts';

export type DeliveredMessage = {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly queue: string;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly requestId: string | null;
  readonly traceparent: string | null;
};

/** Definitions that are told apart; a row's name and queue may be any text that SQL put there. */
const most = 200;

/** Gives what tells that a message was delivered. Its facts are named here and none is a secret: looking for some costs more than all the rest of the line. */
export function tellDelivered(
  log: Log,
): (message: DeliveredMessage, seconds: number, endToEndSeconds: number) => void {
  const queues = new Map<string, Map<string, Map<string, Log>>>();
  let others: Log | undefined;
  let count = 0;

  function begin(queue: string, kind: string, name: string): Log | undefined {
    if (count >= most) return undefined;
    count += 1;
    const kinds = queues.get(queue) ?? new Map<string, Map<string, Log>>();
    const names = kinds.get(kind) ?? new Map<string, Log>();
    const line = log.child({ kind, name, queue }, { redact: [] });
    queues.set(queue, kinds.set(kind, names.set(name, line)));
    return line;
  }

  return (message, seconds, endToEndSeconds) => {
    const { id, kind, name, queue, attempt, maxAttempts, requestId } = message;
    const traceId = traceIdOf(message.traceparent);
    const its = queues.get(queue)?.get(kind)?.get(name) ?? begin(queue, kind, name);
    const facts = { message: id, attempt, maxAttempts, requestId, traceId, seconds, endToEndSeconds };
    if (its) return its.info(facts, 'delivered');
    others ??= log.child({}, { redact: [] });
    others.info({ kind, name, queue, ...facts }, 'delivered');
  };
}
