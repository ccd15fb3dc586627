// The retry horizon of each definition, in words: how long its messages are attempted before they are dead.

import { horizonOf } from '../../message/backoff.ts';
import type { Kind } from '../../message/message.ts';
import type { Milliseconds } from '../../ports.ts';
import type { App } from '../app.ts';
import { webhookName } from '../messages.ts';
import { usualRetry, type RetryPolicy } from '../retry.ts';

export type Horizon = {
  readonly kind: Kind;
  readonly name: string;
  readonly maxAttempts: number;
  /** The average time from the first attempt to the last. */
  readonly seconds: number;
  readonly words: string;
};

/** Emails first, then events, listeners and jobs in the application's order. */
export function horizonsOf({ email, events, listeners, jobs, endpoints }: App): Horizon[] {
  return [
    of('email', 'email', email.retry),
    ...events.map(({ name }) => of('event', name, usualRetry)),
    ...listeners.map(({ name, retry }) => of('listener', name, retry)),
    ...jobs.map(({ name, retry }) => of('job', name, retry)),
    ...endpoints.map(({ name, retry }) => of('job', webhookName(name), retry)),
  ];
}

export function horizonLine({ kind, name, words }: Horizon): string {
  return kind === 'email' ? `emails: ${words}` : `${kind} ${name}: ${words}`;
}

function of(kind: Kind, name: string, { maxAttempts, backoff }: RetryPolicy): Horizon {
  const ms = horizonOf(backoff, maxAttempts);
  const words =
    maxAttempts === 1
      ? 'gives up after its first attempt'
      : `gives up after about ${inWords(ms)}, ${maxAttempts} attempts`;
  return { kind, name, maxAttempts, seconds: Math.round(ms / 1000), words };
}

const units: readonly [Milliseconds, string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
];

/** Uses the largest unit in which the value is at least 2. */
function inWords(ms: Milliseconds): string {
  const [size, name] = units.find(([unit]) => ms >= 2 * unit) ?? [1_000, 's'];
  const n = ms / size;
  return `${n < 10 && size > 1_000 ? Number(n.toFixed(1)) : Math.max(1, Math.round(n))} ${name}`;
}
