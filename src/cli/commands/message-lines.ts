// Messages as lines of a table.

import type { MessageView } from '../../operate/read.ts';
import { waitLine } from '../../queues/waits.ts';
import { short, table } from '../print.ts';

export function messageLines(messages: readonly MessageView[]): string[] {
  if (messages.length === 0) return ['no message'];
  const waits = messages.flatMap(({ waitsFor }) => (waitsFor ? [`waits: ${waitLine(waitsFor)}`] : []));
  const isRunning = messages.some(({ status }) => status === 'sending');
  const running = (cells: readonly string[]): readonly string[] => (isRunning ? cells : []);
  const rows = table(
    [
      'ID',
      'KIND',
      'NAME',
      'TO',
      'QUEUE',
      'STATUS',
      'ATTEMPTS',
      'CREATED',
      ...running(['RUNNING SINCE', 'WORKER']),
      'LAST ERROR',
    ],
    messages.map((m) => [
      m.id,
      m.kind,
      m.name,
      m.recipient ?? '',
      m.queue,
      m.status,
      `${m.attemptCount}/${m.maxAttempts}`,
      text(m.createdAt),
      ...running([text(m.runningSince), m.claimedBy ?? '–']),
      short(m.lastError),
    ]),
  );
  return [...rows, ...new Set(waits)];
}

export function text(value: Date | string | number | readonly string[] | null): string {
  if (Array.isArray(value)) return text(value.join(', '));
  if (value instanceof Date) return value.toISOString();
  return value === null || value === '' ? '–' : String(value);
}
