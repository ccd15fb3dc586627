// Times as people give them: ISO 8601 with its zone, a duration before now such as `1h`, or `now`.

import { parseDuration } from '../duration.ts';
import { WaybillError } from '../errors.ts';
import { single, type Texts } from './texts.ts';

/** Times that were given as a duration before now, as they were given. A cursor is for them, because the times themselves move. */
export type Ago = { readonly [End in PastTime]?: string };

const pastTimes = ['since', 'until', 'deadSince', 'availableSince', 'availableUntil'] as const;
type PastTime = (typeof pastTimes)[number];

/** ISO 8601 with its zone, on a date that exists. @param otherwise what else the part may be, for the error */
export function time(part: string, given: Texts, otherwise = ''): Date | undefined {
  const text = single(part, given);
  if (text === undefined) return undefined;
  const [, year, month, day] =
    /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/.exec(text) ?? [];
  const date = new Date(text);
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate(); // of that month
  if (year !== undefined && !Number.isNaN(date.getTime()) && Number(day) <= days) return date;
  throw new WaybillError(
    'invalid_time',
    `${part} must be a time in ISO 8601 with its zone, such as 2026-01-31T08:00:00Z${otherwise}`,
  );
}

/** Milliseconds before now; undefined: the text says another time. */
const agoMs = (text: string): number | undefined => (text === 'now' ? 0 : parseDuration(text));

/** A time as `time` takes it, a duration before now, or `now`. */
export function pastTime(part: string, given: Texts): Date | undefined {
  const text = single(part, given);
  const ms = text === undefined ? undefined : agoMs(text);
  if (ms === undefined) return time(part, given, ', or a duration before now, such as 1h');
  return new Date(Math.max(0, Date.now() - ms)); // JavaScript cannot hold what is far before 1970
}

/** Which of the times are durations. */
export function agoOf(texts: { readonly [End in PastTime]?: Texts }): Ago | undefined {
  const ends = pastTimes.flatMap((end) => {
    const text = single(end, texts[end]);
    return text === undefined || agoMs(text) === undefined ? [] : [[end, text] as const];
  });
  return ends.length === 0 ? undefined : Object.fromEntries(ends);
}

/** The filter with times instead of durations: it means the same whenever it is read. */
export function withTimes<Given extends { readonly [End in PastTime]?: Texts }>(given: Given): Given {
  const ends = Object.keys(agoOf(given) ?? {}) as PastTime[];
  return {
    ...given,
    ...Object.fromEntries(ends.map((end) => [end, pastTime(end, given[end])!.toISOString()])),
  };
}
