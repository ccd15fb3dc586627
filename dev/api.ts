// The demo's client of the fleet, over HTTP like any other client.

import type { Fleet } from './fleet.ts';

export type MessageRow = {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly status: string;
  readonly attemptCount: number;
  readonly lastError: string | null;
  readonly deliveryKey: string | null;
  readonly requestId: string | null;
  readonly parentId: string | null;
  readonly createdAt: string;
  readonly relayedAt?: string | null;
  readonly deliveredAt: string | null;
};

export type Api = {
  /** @throws when the answer is not a 2xx */
  placeOrder(body: unknown): Promise<{ orderId: string }>;
  /** Messages recorded at this time or later, newest first. */
  messagesSince(time: Date): Promise<MessageRow[]>;
  message(id: string): Promise<MessageRow>;
};

export function createApi(fleet: Fleet): Api {
  async function ask(path: string, key: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${fleet.api}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text.slice(0, 300)}`);
    return JSON.parse(text);
  }

  return {
    async placeOrder(body) {
      const answer = (await ask('/orders', fleet.apiKey, body)) as { result: { orderId: string } };
      return answer.result;
    },
    async messagesSince(time) {
      const found: MessageRow[] = [];
      let cursor: string | null = null;
      do {
        const query = new URLSearchParams({
          since: time.toISOString(),
          limit: '100',
          ...(cursor ? { cursor } : {}),
        });
        const page = (await ask(`/admin/outbox?${query.toString()}`, fleet.adminKey)) as {
          messages: MessageRow[];
          nextCursor: string | null;
        };
        found.push(...page.messages);
        cursor = page.nextCursor;
      } while (cursor !== null);
      return found;
    },
    message: async (id) => (await ask(`/admin/outbox/${id}`, fleet.adminKey)) as MessageRow,
  };
}
