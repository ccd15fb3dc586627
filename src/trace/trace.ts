// Trace contexts of messages (W3C, w3.org/TR/trace-context) and spans named after OpenTelemetry's conventions for messaging
// (opentelemetry.io/docs/specs/semconv/messaging). It uses only the API: without an SDK in the process, no span is made.

import type { Attributes, Context, Span, SpanKind } from '@opentelemetry/api';
import { api, type Api } from './api.ts';

/** The API, if an SDK keeps spans. Most processes have none, and make no spans. */
function tracing(): Api | undefined {
  return api && unlessFailing(() => hasProvider(api!)) ? api : undefined;
}

function hasProvider({ trace, ProxyTracerProvider }: Api): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('waybill') !== undefined;
}

export function isTraced(): boolean {
  return tracing() !== undefined;
}

export type MarkedSpan = Pick<Span, 'setAttribute' | 'setStatus'>;

/** Used in place of a span where nothing is traced. */
const noSpan: MarkedSpan = {
  setAttribute: () => noSpan as Span,
  setStatus: () => noSpan as Span,
};

/** `00-<trace id>-<span id>-<flags>` of the active span, if there is one. */
export function currentTraceparent(): string | undefined {
  const about = unlessFailing(() => api?.trace.getActiveSpan()?.spanContext());
  if (!api || !about || !api.isSpanContextValid(about)) return undefined;
  return `00-${about.traceId}-${about.spanId}-${about.traceFlags.toString(16).padStart(2, '0')}`;
}

/** The trace id of a traceparent. */
export function traceIdOf(traceparent: string | null | undefined): string | null {
  return traceparent?.split('-')[1] ?? null;
}

/** Makes the span of the traceparent the parent; without one, the active span. */
function contextOf(kept: Api, traceparent: string | null | undefined): Context {
  const [, traceId, spanId, flags] = traceparent?.split('-') ?? [];
  if (!traceId || !spanId || !flags) return unlessFailing(() => kept.context.active()) ?? kept.ROOT_CONTEXT;
  return kept.trace.setSpanContext(kept.ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
  });
}

export type Spanned = {
  readonly name: string;
  readonly kind: keyof typeof SpanKind;
  readonly attributes: Attributes;
};

/**
 * Runs `body` in a new span below that of the traceparent, which may come from another process, or without one below the active span.
 * An error is set on the span by its class alone: its text may hold addresses.
 */
export async function continued<T>(
  traceparent: string | null | undefined,
  about: Spanned,
  body: (span: MarkedSpan) => Promise<T>,
): Promise<T> {
  const kept = tracing();
  return kept ? below(kept, contextOf(kept, traceparent), about, body) : body(noSpan);
}

async function below<T>(
  kept: Api,
  parent: Context,
  { name, kind, attributes }: Spanned,
  body: (span: MarkedSpan) => Promise<T>,
): Promise<T> {
  const about = { kind: kept.SpanKind[kind], attributes };
  const span = unlessFailing(() => kept.trace.getTracer('waybill').startSpan(name, about, parent));
  if (!span) return body(noSpan);
  try {
    return await within(kept, kept.trace.setSpan(parent, span), () => body(span));
  } catch (error) {
    fail(span, error instanceof Error ? error.name : typeof error);
    throw error;
  } finally {
    unlessFailing(() => span.end());
  }
}

/** If the context manager throws, the body still runs, and runs once. */
function within<T>({ context }: Api, inside: Context, body: () => Promise<T>): Promise<T> {
  let running: Promise<T> | undefined;
  const begin = (): Promise<T> => (running ??= body());
  unlessFailing(() => void context.with(inside, begin));
  return begin();
}

/** An SDK or an exporter that throws loses spans, never work. */
function unlessFailing<T>(measure: () => T): T | undefined {
  try {
    return measure();
  } catch {
    return undefined;
  }
}

/** Makes the span of a step that is over. @param seconds how long it took */
export function spanOf(traceparent: string, { name, kind, attributes }: Spanned, seconds: number): void {
  const kept = tracing();
  if (!kept) return;
  const now = Date.now(); // the API wants the process's time for spans; nothing is decided by it (invariant H)
  const about = { kind: kept.SpanKind[kind], attributes, startTime: now - seconds * 1000 };
  unlessFailing(() =>
    kept.trace.getTracer('waybill').startSpan(name, about, contextOf(kept, traceparent)).end(now),
  );
}

export function mark(span: MarkedSpan, attribute: string, value: string): void {
  unlessFailing(() => span.setAttribute(attribute, value));
}

const statusError = 2; // `SpanStatusCode.ERROR`: a type import does not give its value

export function fail(span: MarkedSpan, type: string): void {
  mark(span, 'error.type', type);
  unlessFailing(() => span.setStatus({ code: statusError }));
}
