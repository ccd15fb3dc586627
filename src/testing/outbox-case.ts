// A case of the conformance suite for OutboxPort: a name and a proof, for any test runner, with the helpers that it gets.

import assert from 'node:assert/strict';
import type { ClaimedMessage, Enqueued, NewMessage, Status } from '../message/message.ts';
import type { Claim, OutboxPort } from '../outbox/port.ts';
import { newId } from '../message/id.ts';

/** The stored state of a message. */
export type SeenMessage = {
  readonly status: Status;
  readonly attempts: number;
  readonly lastError: string | null;
};

/** An implementation, and a look at its stored state. */
export type OutboxHarness = {
  readonly port: OutboxPort;
  /** Reads the state of a message as it is stored. */
  see(id: string): Promise<SeenMessage>;
  /** Makes a dead or cancelled message due again, as an operator does. Cases that need it pass without it. */
  retry?(id: string): Promise<unknown>;
};

/** A case of the suite that every outbox must pass: a name, and a proof for any test runner. */
export type OutboxCase = {
  readonly name: string;
  /** Rejects with an AssertionError when the port behaves differently. May run beside other cases, and more than once on the same store. */
  run(harness: OutboxHarness): Promise<void>;
};

export type Held = Claim & { readonly queue: string };

/** The helpers that a case gets. */
export type Bench = OutboxHarness & {
  /** A message in a queue of its own, so that cases do not claim one another's. */
  fresh(over?: Partial<NewMessage>): NewMessage;
  /** A delivery key that no other run uses. */
  key(): string;
  enqueue(over?: Partial<NewMessage>): Promise<Enqueued & { readonly queue: string }>;
  claim(queue: string, limit?: number): Promise<ClaimedMessage[]>;
  claimed(over?: Partial<NewMessage>): Promise<Held>;
};

/** What every claim of the suite says, unless a case says otherwise. */
export const request = { limit: 5, leaseMs: 60_000, workerId: 'suite' } as const;

export const idsOf = (all: readonly { readonly id: string }[]): string[] => all.map(({ id }) => id);

/** A claim token that no claim has. */
export const foreignToken = '00000000-0000-4000-8000-000000000000';

export function outboxCase(name: string, body: (bench: Bench) => Promise<void>): OutboxCase {
  return { name, run: (harness) => body(benchOf(harness)) };
}

function benchOf(harness: OutboxHarness): Bench {
  const { port } = harness;

  function fresh(over: Partial<NewMessage> = {}): NewMessage {
    const queue = `q-${newId()}`;
    return { kind: 'job', name: 'suite.job', queue, payload: { n: 1 }, maxAttempts: 3, ...over };
  }

  async function enqueue(over?: Partial<NewMessage>): Promise<Enqueued & { queue: string }> {
    const message = fresh(over);
    return { ...(await port.enqueue(message)), queue: message.queue };
  }

  async function claim(queue: string, limit = 10): Promise<ClaimedMessage[]> {
    return port.claimBatch({ ...request, limit, queues: [queue] });
  }

  async function claimed(over?: Partial<NewMessage>): Promise<Held> {
    const { id, queue } = await enqueue(over);
    const [message] = await claim(queue);
    assert.equal(message?.id, id);
    return { id, queue, claimToken: message!.claimToken };
  }

  return { ...harness, fresh, enqueue, claim, claimed, key: () => `key-${newId()}` };
}
