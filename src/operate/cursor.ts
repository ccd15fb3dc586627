// The cursor of a list: where a page ended, and a digest of the list and its filter. Under another filter it would omit rows silently.

import { createHash } from 'node:crypto';
import { WaybillError } from '../errors.ts';

/** The list, and its filter without limit and cursor. */
export type Listed = { readonly list: string; readonly filter: unknown };

export function cursorAfter(place: string, listed: Listed): string {
  return Buffer.from(`${digestOf(listed)}:${place}`).toString('base64url');
}

/** @throws WaybillError `invalid_cursor` */
export function placeOfCursor(cursor: string, listed: Listed): string {
  const [, digest, place = ''] =
    /^([0-9a-f]{12}):([^]*)$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (digest === digestOf(listed) && cursorAfter(place, listed) === cursor) return place;
  throw new WaybillError(
    'invalid_cursor',
    'the cursor is not one that this list gave out with this filter: take nextCursor as it is and repeat the filter, or leave it away',
  );
}

/** Order and repetition of the filter's values do not matter. `ago` replaces the times that it gives. */
function digestOf({ list, filter }: Listed): string {
  const { ago, ...given } = filter as { readonly ago?: object };
  const entries = Object.entries({ ...given, ...ago })
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]: [string, unknown]) => {
      const its = Array.isArray(value) ? [...new Set(value.map(String))].toSorted() : value;
      return [name, its] as const;
    })
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([list, entries]))
    .digest('hex')
    .slice(0, 12);
}
