// Figures that a page may show again for some seconds, so that a page that is open all day costs little, however many people look at it.

import type { Clock, Milliseconds } from '../ports.ts';

/** Reads, or gives what was read under this name within `ms`. What fails is not kept. */
export type Kept = <T>(name: string, ms: Milliseconds, read: () => Promise<T>) => Promise<T>;

export function createKept(clock: Clock): Kept {
  const known = new Map<string, { readonly at: number; readonly value: unknown }>();
  return async <T>(name: string, ms: Milliseconds, read: () => Promise<T>) => {
    const found = known.get(name);
    if (found !== undefined && clock.now() - found.at < ms) return found.value as T;
    const value = await read();
    known.set(name, { at: clock.now(), value });
    return value;
  };
}
