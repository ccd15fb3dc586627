// The path of each order's messages, read through the admin API: committed → relayed → claimed → delivered.

import type { Api, MessageRow } from './api.ts';
import type { AttemptLog } from './attempt-log.ts';

/** Milliseconds after the commit; null where unknown. */
export type Way = {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly status: string;
  readonly attempts: number;
  readonly lastError: string | null;
  readonly relayedMs: number | null;
  readonly claimedMs: number | null;
  readonly deliveredMs: number | null;
};

export type FollowedOrder = {
  readonly number: number;
  readonly orderId: string;
  readonly placedAt: Date;
  /** From the request to the answer, which comes after the commit. */
  readonly answerMs: number;
  ways: readonly Way[];
  /** Everything that the order triggered is delivered. */
  done: boolean;
  /** Steps since everything was delivered: the log lines with the times of the claims come a moment later. */
  stepsSince: number;
};

export type Follower = {
  add(order: Pick<FollowedOrder, 'number' | 'orderId' | 'placedAt' | 'answerMs'>): void;
  orders(): readonly FollowedOrder[];
  /** Polls once; returns the orders that are complete now. */
  step(): Promise<FollowedOrder[]>;
};

/** The messages of an order by kind, with the word that people see. */
export const parts = { email: 'receipt', event: 'event', listener: 'listener', job: 'job' } as const;

/** Steps to wait for a log line. */
const patience = 20;

/** How many finished orders are kept for the view. */
const kept = 1_000;

export function createFollower(api: Api, attempts: AttemptLog): Follower {
  const orders: FollowedOrder[] = [];
  const relayedAt = new Map<string, string | null>();

  async function wayOf(row: MessageRow): Promise<Way> {
    const settled = row.status === 'delivered';
    if (settled && !relayedAt.has(row.id))
      relayedAt.set(row.id, row.relayedAt ?? (await api.message(row.id)).relayedAt ?? null);
    const after = (time: string | null | undefined): number | null =>
      time == null ? null : Date.parse(time) - Date.parse(row.createdAt);
    const attempt = settled ? attempts.attempt(row.id) : undefined;
    const relayedMs = after(relayedAt.get(row.id) ?? row.relayedAt);
    return {
      id: row.id,
      kind: row.kind,
      name: row.name,
      status: row.status,
      attempts: row.attemptCount,
      lastError: row.lastError,
      relayedMs,
      // A claim sets relayed_at, and the time computed from the log may fall before it.
      claimedMs: attempt ? Math.max(attempt.claimedMs, relayedMs ?? 0) : null,
      deliveredMs: attempt?.deliveredMs ?? after(row.deliveredAt),
    };
  }

  function forgetOld(): void {
    while (orders.length > kept && orders[0]?.done) {
      for (const { id } of orders.shift()?.ways ?? []) {
        relayedAt.delete(id);
        attempts.forget(id);
      }
    }
  }

  return {
    add: (order) => void orders.push({ ...order, ways: [], done: false, stepsSince: 0 }),
    orders: () => orders,
    async step() {
      const open = orders.filter((order) => !order.done);
      const [oldest] = open;
      if (oldest === undefined) return [];
      // A second earlier, because our clock and the database's may differ by milliseconds.
      const rows = await api.messagesSince(new Date(oldest.placedAt.getTime() - 1_000));
      attempts.read();
      const finished: FollowedOrder[] = [];
      for (const order of open) {
        const its = messagesOf(order.orderId, rows);
        order.ways = await Promise.all(its.map(wayOf));
        order.done = isComplete(order.ways) && (isTold(order.ways) || order.stepsSince++ >= patience);
        if (order.done) finished.push(order);
      }
      forgetOld();
      return finished;
    },
  };
}

/** The receipt is found by its delivery key, the others by the request that recorded them, listeners by their event. */
function messagesOf(orderId: string, rows: readonly MessageRow[]): MessageRow[] {
  const receipt = rows.find((row) => row.kind === 'email' && row.deliveryKey === `receipt-${orderId}`);
  if (receipt === undefined) return [];
  const direct = rows.filter(
    (row) => row.id === receipt.id || (row.requestId !== null && row.requestId === receipt.requestId),
  );
  const ids = new Set(direct.map((row) => row.id));
  return [
    ...direct,
    ...rows.filter((row) => !ids.has(row.id) && row.parentId !== null && ids.has(row.parentId)),
  ];
}

/** The listeners' messages are recorded in the transaction that settles the event, so they exist when it is delivered. */
function isComplete(ways: readonly Way[]): boolean {
  return (
    Object.keys(parts).every((kind) => ways.some((way) => way.kind === kind)) &&
    ways.every((way) => way.status === 'delivered')
  );
}

/** What an order still waits for, in words. */
export function missing(order: FollowedOrder): string[] {
  const waiting = order.ways.filter((way) => way.status !== 'delivered');
  const absent = Object.entries(parts).filter(([kind]) => !order.ways.some((way) => way.kind === kind));
  return [
    ...waiting.map(
      (way) => `${way.kind} ${way.name} is ${way.status}${way.lastError ? ` (${way.lastError})` : ''}`,
    ),
    ...absent.map(([, word]) => `no ${word} was recorded yet`),
  ];
}

function isTold(ways: readonly Way[]): boolean {
  return ways.every((way) => way.claimedMs !== null);
}
