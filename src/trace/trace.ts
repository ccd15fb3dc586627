// Traces: the W3C trace context of a message (w3.org/TR/trace-context) and spans named after OpenTelemetry's conventions for messaging
// (opentelemetry.io/docs/specs/semconv/messaging). Only their API: without an SDK in the process, nothing is measured and nothing is made up.

import {
  context,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
} from '@opentelemetry/api';

const tracer = () => trace.getTracer('waybill');

/** Is there an SDK? Most processes have none, and then nothing is made for spans that nobody keeps. */
export function isTraced(): boolean {
  return unlessFailing(hasProvider) ?? false;
}

function hasProvider(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('waybill') !== undefined;
}

const activeContext = (): Context => unlessFailing(() => context.active()) ?? ROOT_CONTEXT;

const nobodys = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);

/** `00-<trace id>-<span id>-<flags>` of the span that is active, if there is one. */
export function currentTraceparent(): string | undefined {
  const about = unlessFailing(() => trace.getActiveSpan()?.spanContext());
  if (!about || !isSpanContextValid(about)) return undefined;
  return `00-${about.traceId}-${about.spanId}-${about.traceFlags.toString(16).padStart(2, '0')}`;
}

/** The trace that a traceparent is of. */
export function traceIdOf(traceparent: string | null | undefined): string | null {
  return traceparent?.split('-')[1] ?? null;
}

/** The span of the traceparent as a parent; without one, whatever is active. */
function contextOf(traceparent: string | null | undefined): Context {
  const [, traceId, spanId, flags] = traceparent?.split('-') ?? [];
  if (!traceId || !spanId || !flags) return activeContext();
  return trace.setSpanContext(ROOT_CONTEXT, {
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

/** Runs `body` in a span of its own below the active one. What it throws is on the span, by its class alone: texts may hold addresses. */
export async function inSpan<T>(
  about: Spanned,
  body: (span: Span) => Promise<T>,
  parent = activeContext(),
): Promise<T> {
  if (!isTraced()) return body(nobodys);
  const { name, kind, attributes } = about;
  const span = unlessFailing(() => tracer().startSpan(name, { kind: SpanKind[kind], attributes }, parent));
  if (!span) return body(nobodys);
  try {
    return await within(trace.setSpan(parent, span), () => body(span));
  } catch (error) {
    fail(span, error instanceof Error ? error.name : typeof error);
    throw error;
  } finally {
    unlessFailing(() => span.end());
  }
}

/** A context manager that throws does not keep the body from running, nor does it run twice. */
function within<T>(inside: Context, body: () => Promise<T>): Promise<T> {
  let running: Promise<T> | undefined;
  const begin = (): Promise<T> => (running ??= body());
  unlessFailing(() => void context.with(inside, begin));
  return begin();
}

/** An SDK or an exporter that throws costs spans, never work. */
function unlessFailing<T>(measure: () => T): T | undefined {
  try {
    return measure();
  } catch {
    return undefined;
  }
}

/** Likewise, below the span of a traceparent: the far end of a hop. */
export async function continued<T>(
  traceparent: string | null | undefined,
  about: Spanned,
  body: (span: Span) => Promise<T>,
): Promise<T> {
  return isTraced() ? inSpan(about, body, contextOf(traceparent)) : body(nobodys);
}

/** A step that is over. @param seconds how long it took */
export function spanOf(traceparent: string, { name, kind, attributes }: Spanned, seconds: number): void {
  const now = Date.now(); // a span's own times are the process's, as the API has them; nothing is decided by them (invariant H)
  const startTime = now - seconds * 1000;
  unlessFailing(() =>
    tracer()
      .startSpan(name, { kind: SpanKind[kind], attributes, startTime }, contextOf(traceparent))
      .end(now),
  );
}

export function mark(span: Span, attribute: string, value: string): void {
  unlessFailing(() => span.setAttribute(attribute, value));
}

export function fail(span: Span, type: string): void {
  mark(span, 'error.type', type);
  unlessFailing(() => span.setStatus({ code: SpanStatusCode.ERROR }));
}
