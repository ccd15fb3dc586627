// Time zones: how far a zone's clocks are ahead of UTC, and which instant a wall-clock time means.

import type { Milliseconds } from '../ports.ts';

/** Milliseconds since 1970, UTC. */
export type Instant = number;
/** Wall-clock time, written as if it were UTC. */
export type WallTime = number;

export type Zone = {
  offsetAt(instant: Instant): Milliseconds;
  /** The least and greatest offset around this day (counted from 1970, local), including two days on each side. */
  offsetsAround(day: number): { readonly least: Milliseconds; readonly most: Milliseconds };
  /**
   * A time that the clock shows twice means the first one. A time in a gap is read with the offset before the gap (RFC 5545, section 3.3.5): 02:30
   * in a gap from 02:00 to 03:00 is 03:30.
   */
  instantOf(wall: WallTime): Instant;
};

/** Finds zones by name and keeps them: formatters are expensive, and 10,000 jobs share a few. */
export type Zones = (name: string) => Zone;

export const dayMs: Milliseconds = 86_400_000;
/** Days whose offsets are kept: several years. */
const kept = 5_000;

export function createZones(): Zones {
  const zones = new Map<string, Zone>([['UTC', openZone(() => 0)]]);
  return (name) => {
    const zone = zones.get(name) ?? openZone(offsetsOf(name));
    zones.set(name, zone);
    return zone;
  };
}

/** A day of UTC: the offsets at its start and its end, and the instant of the change. */
type Day = { readonly before: Milliseconds; readonly after: Milliseconds; readonly change: Instant };

/** @param ask gives the offset at an instant. It is expensive, so it is called once for a day, and a few times more on the day of a change. */
function openZone(ask: (instant: Instant) => Milliseconds): Zone {
  const days = new Map<number, Day>();

  function dayAt(index: number): Day {
    const known = days.get(index);
    if (known !== undefined) return known;
    if (days.size >= kept) days.clear();
    const [start, end] = [index * dayMs, (index + 1) * dayMs];
    const before = days.get(index - 1)?.after ?? ask(start);
    const after = ask(end);
    const day = { before, after, change: before === after ? end : findChange(ask, start, end) };
    days.set(index, day);
    return day;
  }

  function offsetAt(instant: Instant): Milliseconds {
    const { before, after, change } = dayAt(Math.floor(instant / dayMs));
    return instant < change ? before : after;
  }

  return {
    offsetAt,
    offsetsAround(day) {
      let [least, most] = [Infinity, -Infinity];
      for (let index = day - 2; index <= day + 2; index++) {
        const { before, after } = dayAt(index);
        least = Math.min(least, before, after);
        most = Math.max(most, before, after);
      }
      return { least, most };
    },
    instantOf(wall) {
      const offsets = new Set([offsetAt(wall - dayMs), offsetAt(wall), offsetAt(wall + dayMs)]);
      const candidates = [...offsets].map((offset) => wall - offset);
      const shown = candidates.filter((instant) => instant + offsetAt(instant) === wall);
      if (shown.length > 0) return Math.min(...shown);
      return wall - offsetAt(Math.min(...candidates)); // the earliest is before the gap: its offset applies
    },
  };
}

/** Finds the second of a change: clocks change on full seconds. */
function findChange(ask: (instant: Instant) => Milliseconds, start: Instant, end: Instant): Instant {
  const before = ask(start);
  let [low, high] = [start / 1_000, end / 1_000];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (ask(middle * 1_000) === before) low = middle;
    else high = middle;
  }
  return high * 1_000;
}

function offsetsOf(timeZone: string): (instant: Instant) => Milliseconds {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (instant) => {
    const [month = 1, day = 1, year = 1970, hour = 0, minute = 0, second = 0] = (
      format.format(instant).match(/\d+/g) ?? []
    ).map(Number);
    const wall = Date.UTC(year, month - 1, day, hour, minute, second);
    return wall - Math.floor(instant / 1_000) * 1_000;
  };
}
