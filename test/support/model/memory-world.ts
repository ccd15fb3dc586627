// The outbox in memory as the model sees it. It can be copied, so that every step from a state begins at that state.

import type { MemoryMessage } from '../../../src/store/memory-message.ts';
import { createMemoryOutbox, type MemoryOutbox } from '../../../src/store/memory.ts';
import type { OutboxPort } from '../../../src/outbox/port.ts';
import { act, type ClaimTokens } from './act.ts';
import type { Seen } from './seen.ts';
import { isLive, unitsUntil, type Row } from './state.ts';
import type { Answer, Step } from './step.ts';

const queue = 'model';

/** Replaces methods of the port, to see whether the search notices. */
export type Spoil = (right: MemoryOutbox) => Partial<OutboxPort>;

type Tokens = readonly ClaimTokens[];

export class MemoryWorld {
  readonly #messages: readonly MemoryMessage[];
  readonly #tokens: Tokens;
  readonly #recordings: number;
  readonly #now: number;
  readonly #spoil: Spoil;

  constructor(
    spoil: Spoil = () => ({}),
    messages: readonly MemoryMessage[] = [],
    tokens: Tokens = [],
    recordings = 0,
    now = 0,
  ) {
    this.#spoil = spoil;
    this.#messages = messages;
    this.#tokens = tokens;
    this.#recordings = recordings;
    this.#now = now;
  }

  /** The world in which this step was done, and what the step answered. This world stays as it is. */
  async after(step: Step, now: number): Promise<{ readonly world: MemoryWorld; readonly answer: Answer }> {
    const outbox = createMemoryOutbox(() => now);
    (outbox.messages as MemoryMessage[]).push(...copyOf(this.#messages));
    const tokens = this.#tokens.slice();
    const ids = outbox.messages.map(({ id }) => id);
    const answer = await act(
      {
        port: { ...outbox, ...this.#spoil(outbox) },
        queue,
        recordings: this.#recordings,
        ids,
        token: (row, isStale) => tokens[row]![isStale ? 'first' : 'last'],
        claimed: (row, token) => void (tokens[row] = { first: tokens[row]?.first ?? token, last: token }),
        person: async (what, id) => (what === 'cancel' ? outbox.cancel(id) : outbox.retry(id)),
        pause: () => Promise.reject(new Error('an outbox in memory has no pause')),
      },
      step,
    );
    const recordings = this.#recordings + (step.do === 'record' ? 1 : 0);
    return {
      world: new MemoryWorld(this.#spoil, outbox.messages, tokens, recordings, now),
      answer,
    };
  }

  seen(): Seen[] {
    return this.#messages.map((message) => {
      const { status, payload, attempts, expirations, older, claimedBy, claimedUntil } = message;
      const isWaiting = status === 'pending' || status === 'failed';
      return {
        status,
        payload: payload as number,
        attempts,
        expirations,
        due: isWaiting ? unitsUntil(message.availableAt.getTime(), this.#now) : null,
        behind: isWaiting && message.isBehind,
        held: isWaiting && older !== null && isLive(older as unknown as Row),
        claimedBy: claimedBy && claimedBy.slice(queue.length + 1),
        claimedFor: claimedUntil && unitsUntil(claimedUntil.getTime(), this.#now),
        prefetched: message.prefetched,
      };
    });
  }
}

/** Times and payloads are never changed in place. */
function copyOf(messages: readonly MemoryMessage[]): MemoryMessage[] {
  const copies = messages.map((message) => ({ ...message }));
  for (const copy of copies) if (copy.older) copy.older = copies[messages.indexOf(copy.older)]!;
  return copies;
}
