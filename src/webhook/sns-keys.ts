// The public keys with which Amazon SNS signs, by the address of the certificate. Anybody may post an address, so what is kept is bounded, and the same
// address again does not make web fetch again.

import type { KeyObject } from 'node:crypto';
import type { Milliseconds } from '../ports.ts';

export type SnsKeys = {
  /** @returns undefined: there is no certificate. Throws what `fetchKey` throws */
  at(url: string, now: Milliseconds): Promise<KeyObject | undefined>;
  /** A signature fitted this key, so it is kept. */
  keep(url: string, key: KeyObject): void;
};

/** How long an answer counts that no signature has proven: also that there is no certificate. */
const unproven: Milliseconds = 60_000;
/** Amazon changes its certificate about once a year. */
const mostKept = 10;
const mostUnproven = 100;

/** @param fetchKey undefined: there is none. It throws when that cannot be said at present; then it is called again at the next request */
export function createSnsKeys(fetchKey: (url: string) => Promise<KeyObject | undefined>): SnsKeys {
  const kept = new Map<string, KeyObject>();
  const looked = new Map<
    string,
    { readonly key: Promise<KeyObject | undefined>; readonly at: Milliseconds }
  >();
  return {
    async at(url, now) {
      const known = kept.get(url);
      if (known) return known;
      const last = looked.get(url);
      if (last && now - last.at < unproven) return last.key;
      const key = fetchKey(url);
      put(looked, url, { key, at: now }, mostUnproven);
      key.catch(() => looked.delete(url));
      return key;
    },
    keep(url, key) {
      looked.delete(url);
      put(kept, url, key, mostKept);
    },
  };
}

/** The oldest entry makes room. */
function put<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
}
