// A wake-up: one job of pg-boss that stands for up to so many due messages of one queue at one priority. It names none of them: the rows alone
// say what waits, so a wake-up that is lost, doubled or late changes nothing but the time at which a worker looks.

import type { Place } from '../outbox/waiting.ts';

export type WakeUp = Place & { readonly messages: number };

/** A few wake-ups for each backlog, so that several workers share it. */
const spread = 8;

/** @param messages that are due there and not announced */
export function wakeUpsFor({ queue, priority }: Place, messages: number): WakeUp[] {
  const size = Math.max(1, Math.ceil(messages / spread));
  return Array.from({ length: Math.ceil(messages / size) }, (_, i) => ({
    queue,
    priority,
    messages: Math.min(size, messages - i * size),
  }));
}

export type WakeUpData = { readonly messages: number };

/** Whoever wrote the job: undefined when it says no number of messages, and then nothing follows from it. */
export function messagesOf(data: unknown): number | undefined {
  const { messages } = (data ?? {}) as { messages?: unknown };
  return typeof messages === 'number' && Number.isSafeInteger(messages) && messages > 0
    ? messages
    : undefined;
}
