// Time zones: how far a zone's clocks are ahead of UTC, and which instant a reading of such a clock means.

import type { Milliseconds } from '../ports.ts';

/** Milliseconds since 1970, UTC. */
export type Instant = number;
/** What a clock on the wall shows, written as if it were UTC. */
export type WallTime = number;

export type Zone = {
  offsetAt(instant: Instant): Milliseconds;
  /** Whether the clocks are not changed around this day (counted from 1970, local), two days on both sides included. */
  isSteady(day: number): boolean;
  /**
   * A reading that the clock shows twice means the first time. One that it never shows means the moment at which it would have been shown,
   * had the clock not been put forward (RFC 5545, section 3.3.5): 02:30 in a gap from 02:00 to 03:00 is 03:30.
   */
  instantOf(wall: WallTime): Instant;
};

/** Finds zones by name and keeps what it made: a formatter is dear, and 10,000 jobs share a few. */
export type Zones = (name: string) => Zone;

export const dayMs: Milliseconds = 86_400_000;
/** Offsets that are kept: some years of days. */
const kept = 5_000;

export function createZones(): Zones {
  const zones = new Map<string, Zone>([['UTC', openZone(() => 0)]]);
  return (name) => {
    const zone = zones.get(name) ?? openZone(offsetsOf(name));
    zones.set(name, zone);
    return zone;
  };
}

function openZone(offsetAt: (instant: Instant) => Milliseconds): Zone {
  const atDay = new Map<number, Milliseconds>();

  function offsetAtDay(day: number): Milliseconds {
    const known = atDay.get(day);
    if (known !== undefined) return known;
    if (atDay.size >= kept) atDay.clear();
    const offset = offsetAt(day * dayMs);
    atDay.set(day, offset);
    return offset;
  }

  const offsetsAround = (day: number): Set<Milliseconds> =>
    new Set([-2, -1, 0, 1, 2, 3].map((distance) => offsetAtDay(day + distance)));

  return {
    offsetAt,
    isSteady: (day) => offsetsAround(day).size === 1,
    instantOf(wall) {
      const candidates = [...offsetsAround(Math.floor(wall / dayMs))].map((offset) => wall - offset);
      const shown = candidates.filter((instant) => instant + offsetAt(instant) === wall);
      if (shown.length > 0) return Math.min(...shown);
      return wall - offsetAt(Math.min(...candidates)); // the earliest lies before the gap: what was in force there
    },
  };
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
