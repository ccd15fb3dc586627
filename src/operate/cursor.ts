// The cursor of a list: where a page ended, and of which list with which filter it is. With another one it would leave rows out in silence.

import { createHash } from 'node:crypto';
import { WaybillError } from '../errors.ts';

/** Which list, and the filter of it without limit and cursor. */
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

/** Order and repetition of what a filter names do not matter. */
function digestOf({ list, filter }: Listed): string {
  const entries = Object.entries(filter as object)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => [
      name,
      Array.isArray(value)
        ? [...new Set(value.map(String))].toSorted((a, b) => (a < b ? -1 : 1))
        : (value as unknown),
    ])
    .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([list, entries]))
    .digest('hex')
    .slice(0, 12);
}
