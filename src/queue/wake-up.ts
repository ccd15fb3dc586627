// A wake-up: one job of pg-boss that stands for up to n due messages of one queue at one priority. It names no message, because the rows are
// the only truth: a wake-up that is lost, doubled or late changes only the time of the next claim.

import type { Place } from '../outbox/waiting.ts';

export type WakeUp = Place & { readonly messages: number };

/** Maximum number of wake-ups for a backlog, so that several workers share it. */
const spread = 8;

/** @param messages number of messages that are due there and not announced */
export function wakeUpsFor({ queue, priority }: Place, messages: number): WakeUp[] {
  const size = Math.max(1, Math.ceil(messages / spread));
  return Array.from({ length: Math.ceil(messages / size) }, (_, i) => ({
    queue,
    priority,
    messages: Math.min(size, messages - i * size),
  }));
}

export type WakeUpData = { readonly messages: number };

/** The number of messages in a job's data; undefined when it is invalid, and the job is ignored. */
export function messagesOf(data: unknown): number | undefined {
  const { messages } = (data ?? {}) as { messages?: unknown };
  return typeof messages === 'number' && Number.isSafeInteger(messages) && messages > 0
    ? messages
    : undefined;
}
