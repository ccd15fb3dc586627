// A wake-up: one job of pg-boss that stands for up to n due messages of one place: a queue at a priority, with groups or without. It names no message, because the rows are
// the only truth: a wake-up that is lost, doubled or late changes only the time of the next claim.

import type { Place } from '../outbox/waiting.ts';

export type WakeUp = Place & { readonly messages: number };

/** Maximum number of wake-ups for a backlog, so that several workers share it. */
const spread = 8;

/** @param messages number of messages that are due there and not announced */
export function wakeUpsFor({ queue, priority, isGrouped = false }: Place, messages: number): WakeUp[] {
  const size = Math.max(1, Math.ceil(messages / spread));
  return Array.from({ length: Math.ceil(messages / size) }, (_, i) => ({
    queue,
    priority,
    isGrouped,
    messages: Math.min(size, messages - i * size),
  }));
}

export type WakeUpData = { readonly messages: number; readonly grouped?: true };

export function dataOf({ messages, isGrouped }: WakeUp): WakeUpData {
  return isGrouped ? { messages, grouped: true } : { messages };
}

/** The data of a job; undefined when it is invalid, and the job is ignored. */
export function fromData(data: unknown): Pick<WakeUp, 'messages' | 'isGrouped'> | undefined {
  const { messages, grouped } = (data ?? {}) as { messages?: unknown; grouped?: unknown };
  return typeof messages === 'number' && Number.isSafeInteger(messages) && messages > 0
    ? { messages, isGrouped: grouped === true }
    : undefined;
}
