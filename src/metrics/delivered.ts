// The log line of a delivery, written for each message. The part that messages of one definition share is serialised once.

import { traceIdOf } from '../trace/trace.ts';
import { createLines, type Log } from './log.ts';

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

/** Maximum number of definitions with their own line; a row's name and queue may be any text written by SQL. */
const most = 200;

/** Writes a line with the facts of one message, in JSON. None is a secret. */
type Line = (facts: string) => void;

/** Makes the function that logs a delivery. It names each fact itself: searching for secrets costs more than the rest of the line. */
export function tellDelivered(
  log: Log,
): (message: DeliveredMessage, seconds: number, endToEndSeconds: number) => void {
  const queues = new Map<string, Map<string, Map<string, Line>>>();
  let others: Line | undefined;
  let count = 0;

  function begin(queue: string, kind: string, name: string): Line | undefined {
    if (count >= most) return undefined;
    count += 1;
    const kinds = queues.get(queue) ?? new Map<string, Map<string, Line>>();
    const names = kinds.get(kind) ?? new Map<string, Line>();
    const line = createLines(log, { kind, name, queue }, 'delivered');
    queues.set(queue, kinds.set(kind, names.set(name, line)));
    return line;
  }

  return (message, seconds, endToEndSeconds) => {
    const { kind, name, queue } = message;
    const facts = factsOf(message, seconds, endToEndSeconds);
    const its = queues.get(queue)?.get(kind)?.get(name) ?? begin(queue, kind, name);
    if (its) return its(facts);
    others ??= createLines(log, {}, 'delivered');
    others(`,"kind":${text(kind)},"name":${text(name)},"queue":${text(queue)}${facts}`);
  };
}

/** Each `+` allocates an object, so there are few. An id is a UUID and needs no escaping. */
function factsOf(message: DeliveredMessage, seconds: number, endToEndSeconds: number): string {
  const { id, attempt, maxAttempts, requestId, traceparent } = message;
  const origin =
    requestId === null && traceparent === null
      ? `,"requestId":null,"traceId":null,"seconds":`
      : `,"requestId":${text(requestId)},"traceId":${text(traceIdOf(traceparent))},"seconds":`;
  return `,"message":"${id}","attempt":${attempt},"maxAttempts":${maxAttempts}${origin}${seconds},"endToEndSeconds":${endToEndSeconds}`;
}

const text = (value: string | null): string => (value === null ? 'null' : JSON.stringify(value));
