// The spans of a message: `create` where it is recorded, `receive` when a worker claims it, `process` when it is delivered.

import { continued, currentTraceparent, fail, isTraced, mark, spanOf, type MarkedSpan } from './trace.ts';

type Traced = { readonly queue: string; readonly traceparent?: string | undefined };

const attributes = (operation: 'create' | 'receive' | 'process', type: string, queue: string) => ({
  'messaging.system': 'waybill',
  'messaging.operation.name': operation,
  'messaging.operation.type': type,
  'messaging.destination.name': queue,
});

/** Records messages in a span `create`, which becomes their trace context. Without tracing they keep the context that they have. */
export async function tracedCreate<M extends Traced, R extends { readonly id: string }>(
  messages: readonly M[],
  record: (messages: readonly M[]) => Promise<R[]>,
): Promise<R[]> {
  const [first] = messages;
  if (!first || !isTraced()) return record(messages);
  const queue = messages.every((message) => message.queue === first.queue) ? first.queue : 'several';
  const count = messages.length > 1 ? { 'messaging.batch.message_count': messages.length } : {};
  const about = {
    name: `create ${queue}`,
    kind: 'PRODUCER' as const,
    attributes: { ...attributes('create', 'create', queue), ...count },
  };
  const outer = currentTraceparent() === undefined ? first.traceparent : undefined;
  return continued(outer, about, async (span) => {
    const traceparent = currentTraceparent();
    const traced = traceparent ? messages.map((message) => ({ ...message, traceparent })) : messages;
    const recorded = await record(traced);
    if (recorded.length === 1) mark(span, 'messaging.message.id', recorded[0]!.id);
    return recorded;
  });
}

type Received = { readonly id: string; readonly queue: string; readonly traceparent: string | null };

/** Makes the span of a claim, from when the message was due until now. @param lag seconds */
export function traceReceived({ id, queue, traceparent }: Received, lag: number): void {
  if (traceparent === null || !isTraced()) return;
  const about = {
    name: `receive ${queue}`,
    kind: 'CLIENT' as const,
    attributes: { ...attributes('receive', 'receive', queue), 'messaging.message.id': id },
  };
  spanOf(traceparent, about, lag);
}

export type Processed = Received & {
  readonly kind: string;
  readonly name: string;
  readonly attempt: number;
};

/** Delivers in a span `process`. @param errorOf the error type to set on the span, if the delivery failed */
export function tracedProcess<T>(
  message: Processed,
  deliver: () => Promise<T>,
  errorOf: (delivery: T) => string | undefined,
): Promise<T> {
  const { id, queue, kind, name, attempt, traceparent } = message;
  const about = {
    name: `process ${queue}`,
    kind: 'CONSUMER' as const,
    attributes: {
      ...attributes('process', 'process', queue),
      'messaging.message.id': id,
      'waybill.kind': kind,
      'waybill.name': name,
      'waybill.attempt': attempt,
    },
  };
  return continued(traceparent, about, async (span: MarkedSpan) => {
    const delivery = await deliver();
    const error = errorOf(delivery);
    if (error !== undefined) fail(span, error);
    return delivery;
  });
}

/** Runs an action in a span `POST /orders`. Its parent is the active span of the server, if there is one, else the caller's traceparent. */
export async function tracedRequest<T>(
  request: { readonly method: string; readonly route: string; readonly traceparent: string | undefined },
  body: () => Promise<T>,
): Promise<T> {
  const { method, route, traceparent } = request;
  const inside = currentTraceparent() !== undefined;
  const about = {
    name: `${method} ${route}`,
    kind: inside ? ('INTERNAL' as const) : ('SERVER' as const),
    attributes: { 'http.request.method': method, 'http.route': route },
  };
  return continued(inside ? undefined : traceparent, about, body);
}
