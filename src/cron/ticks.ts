// Ticks: the instants at which a schedule fires. Walked by the day and not by cron-parser: that one leaves out ticks when clocks change by
// half an hour (FACTS 22), and takes a tenth of a millisecond for each (FACTS 23). What falls into a change of clocks, zones.ts decides;
// ticks that come to lie on one instant by it are one.

import { fallsOn, type Schedule } from '../define/cron/schedule.ts';
import { dayMs, type Instant, type Zone } from './zones.ts';

export type Timetable = { readonly schedule: Schedule; readonly zone: Zone };

/** After the first, up to the second and with it. */
export type Span = { readonly after: Instant; readonly upTo: Instant };

const hourMs = 3_600_000;
const minuteMs = 60_000;

/** The longest wait is from one 29th of February to the next: eight years around 2100. */
const horizonDays = 9 * 366;

export function nextTick(timetable: Timetable, after: Instant): Instant {
  const { schedule, zone } = timetable;
  const first = firstDay(timetable, after);
  let best = Infinity;
  for (let day = first; day < first + horizonDays; day = nextDay(timetable, day)) {
    // A tick that a gap put off may come after one of the next day: that one is looked at as well.
    if (best < Infinity && day * dayMs - zone.offsetsAround(day).most >= best) break;
    if (isOn(schedule, day)) best = Math.min(best, nextOfDay(timetable, day, after, best));
  }
  if (best === Infinity) throw new Error(`${schedule.expression} has no tick within nine years`);
  return best;
}

/** The first tick of a day after the instant, if it comes before `best`. What cannot be it by any offset of the zone is not looked at. */
function nextOfDay({ schedule, zone }: Timetable, day: number, after: Instant, best: Instant): Instant {
  const { least, most } = zone.offsetsAround(day);
  let found = best;
  for (const hour of schedule.hours) {
    const start = day * dayMs + hour * hourMs;
    if (start + hourMs - least <= after) continue;
    if (start - most >= found) break;
    for (const minute of schedule.minutes) {
      const wall = start + minute * minuteMs;
      if (wall - least <= after) continue;
      if (wall - most >= found) break;
      const tick = least === most ? wall - most : zone.instantOf(wall);
      if (tick > after && tick < found) found = tick;
    }
  }
  return found;
}

export function nextTicks(timetable: Timetable, after: Instant, count: number): Instant[] {
  const ticks: Instant[] = [];
  while (ticks.length < count) ticks.push(nextTick(timetable, ticks.at(-1) ?? after));
  return ticks;
}

/** The newest of the span's ticks, `limit` at most, ascending. Walks back from its end, so the rest of the span costs nothing. */
export function newestTicks(timetable: Timetable, span: Span, limit: number): Instant[] {
  const found = new Set<Instant>();
  const first = firstDay(timetable, span.after);
  let enough = false;
  for (let day = dayOf(timetable.zone, span.upTo); day >= first && !enough; day--) {
    enough = found.size >= limit; // and one day more, for what a gap put off
    for (const tick of ticksOfDay(timetable, day)) if (isIn(span, tick)) found.add(tick);
  }
  return [...found].toSorted((a, b) => a - b).slice(-limit);
}

/** How many ticks the span has. Days without a change of clocks are multiplied, not walked: a year of minutes costs 365 looks. */
export function countTicks(timetable: Timetable, span: Span): number {
  const { schedule, zone } = timetable;
  const first = firstDay(timetable, span.after);
  const last = dayOf(zone, span.upTo);
  const apart = new Set<Instant>();
  let count = 0;
  for (let day = first; day <= last; day = nextDay(timetable, day)) {
    const whole = day > first + 1 && day < last && isSteady(zone, day);
    if (whole) count += isOn(schedule, day) ? schedule.hours.length * schedule.minutes.length : 0;
    else for (const tick of ticksOfDay(timetable, day)) if (isIn(span, tick)) apart.add(tick);
  }
  return count + apart.size;
}

const isIn = ({ after, upTo }: Span, tick: Instant): boolean => tick > after && tick <= upTo;

function dayOf(zone: Zone, instant: Instant): number {
  return Math.floor((instant + zone.offsetAt(instant)) / dayMs);
}

/** A gap puts a tick off by a day at most. */
function firstDay({ zone }: Timetable, after: Instant): number {
  return dayOf(zone, after) - 1;
}

/** The following day, or the first of the next month that the schedule has. */
function nextDay({ schedule }: Timetable, day: number): number {
  const next = new Date((day + 1) * dayMs);
  if (schedule.months.has(next.getUTCMonth() + 1)) return day + 1;
  return Date.UTC(next.getUTCFullYear(), next.getUTCMonth() + 1, 1) / dayMs;
}

function isOn(schedule: Schedule, day: number): boolean {
  const date = new Date(day * dayMs);
  return fallsOn(schedule, date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay());
}

/** Whether no clock is changed around this day. */
function isSteady(zone: Zone, day: number): boolean {
  const { least, most } = zone.offsetsAround(day);
  return least === most;
}

function ticksOfDay({ schedule, zone }: Timetable, day: number): Instant[] {
  if (!isOn(schedule, day)) return [];
  const walls = schedule.hours.flatMap((hour) =>
    schedule.minutes.map((minute) => day * dayMs + hour * hourMs + minute * minuteMs),
  );
  if (!isSteady(zone, day)) return walls.map(zone.instantOf);
  const offset = zone.offsetAt(day * dayMs);
  return walls.map((wall) => wall - offset);
}
