// Idempotency keys of the outbox in memory.

import type { Milliseconds } from '../ports.ts';
import { keyRunning, repeated, type Kept, type Once } from '../outbox/once.ts';
import { type OutboxPort, checkOnce } from '../outbox/port.ts';

export type MemoryKeys = Pick<OutboxPort, 'once'> & {
  /** Begins a transaction, whose keys are kept only when it commits. */
  begin(): MemoryKeysTransaction;
};

export type MemoryKeysTransaction = Pick<OutboxPort, 'once'> & {
  /** @returns a function that removes every key kept since */
  savepoint(): () => void;
  commit(): void;
};

type Entry = Kept & { readonly at: Milliseconds };

/** @param now milliseconds since 1970 */
export function createMemoryKeys(now: () => number): MemoryKeys {
  const keys = new Map<string, Entry>();
  const running = new Map<string, Promise<unknown>>();

  function onceIn(kept: Map<string, Entry>): OutboxPort['once'] {
    return async function once(about: Once, make) {
      checkOnce(about);
      const id = JSON.stringify([about.scope, about.key]);
      const standing = kept.get(id);
      if (standing && now() - standing.at <= (about.maxAgeMs ?? Number.POSITIVE_INFINITY))
        return repeated(standing, about);
      const first = running.get(id);
      if (first) {
        if (about.noWait) throw keyRunning();
        await first.catch(() => undefined); // its own caller gets the error; the key is free then
        return once(about, make);
      }
      const making = (async () => make())().finally(() => running.delete(id));
      running.set(id, making);
      const answer = await making;
      const text = JSON.stringify(answer) ?? 'null';
      kept.set(id, { fingerprint: about.fingerprint ?? null, answer: text, at: now() });
      return { answer, repeated: false };
    };
  }

  return {
    once: onceIn(keys),
    begin() {
      const staged = new Map(keys);
      return {
        once: onceIn(staged),
        savepoint() {
          const before = [...staged];
          return () => {
            staged.clear();
            for (const [id, entry] of before) staged.set(id, entry);
          };
        },
        commit() {
          for (const [id, entry] of staged) keys.set(id, entry);
        },
      };
    },
  };
}
