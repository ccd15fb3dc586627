// Ticks: the instants at which a schedule fires. They are computed by day, without cron-parser. cron-parser leaves out ticks when clocks change by
// half an hour (FACTS 22), and takes 0.1 ms for each (FACTS 23). zones.ts places ticks during a clock change; ticks that fall on one instant there
// are one.

import type { CronJob } from '../define/cron-job.ts';
import { fallsOn, readSchedule, type Schedule } from '../define/cron/schedule.ts';
import { dayMs, type Instant, type Zone, type Zones } from './zones.ts';

export type Timetable = { readonly schedule: Schedule; readonly zone: Zone };

/** @throws Error when the job's row was edited and holds no valid schedule: defineCron has checked the schedule */
export function timetableOf({ name, schedule, timeZone }: CronJob, zones: Zones): Timetable {
  const read = readSchedule(schedule);
  if ('problem' in read) throw new Error(`cron job ${name}: ${read.problem}`);
  return { schedule: read.schedule, zone: zones(timeZone) };
}

/** From `after`, exclusive, to `upTo`, inclusive. */
export type Span = { readonly after: Instant; readonly upTo: Instant };

const hourMs = 3_600_000;
const minuteMs = 60_000;

/** The longest wait is between two 29ths of February: eight years around 2100. */
const horizonDays = 9 * 366;

export function nextTick(timetable: Timetable, after: Instant): Instant {
  const { schedule, zone } = timetable;
  const first = firstDay(timetable, after);
  let best = Infinity;
  for (let day = first; day < first + horizonDays; day = nextDay(timetable, day)) {
    // A tick that a gap moved may come after one of the next day, so that day is checked too.
    if (best < Infinity && day * dayMs - zone.offsetsAround(day).most >= best) break;
    if (isOn(schedule, day)) best = Math.min(best, nextOfDay(timetable, day, after, best));
  }
  if (best === Infinity) throw new Error(`${schedule.expression} has no tick within nine years`);
  return best;
}

/** The first tick of a day after the instant, if it is before `best`. Skips times that no offset of the zone can make the answer. */
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

/** The newest ticks of the span, at most `limit`, ascending. Walks back from the end, so the rest of the span costs nothing. */
export function newestTicks(timetable: Timetable, span: Span, limit: number): Instant[] {
  const found = new Set<Instant>();
  const first = firstDay(timetable, span.after);
  let enough = false;
  for (let day = dayOf(timetable.zone, span.upTo); day >= first && !enough; day--) {
    enough = found.size >= limit; // and one more day, for ticks that a gap moved
    for (const tick of ticksOfDay(timetable, day)) if (isIn(span, tick)) found.add(tick);
  }
  return [...found].toSorted((a, b) => a - b).slice(-limit);
}

/** The number of ticks in the span. Days without a clock change are multiplied, not walked: a year of minutes takes 365 steps. */
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

/** A gap moves a tick by a day at most. */
function firstDay({ zone }: Timetable, after: Instant): number {
  return dayOf(zone, after) - 1;
}

/** The following day, or the first of the next month if the schedule does not have this one. */
function nextDay({ schedule }: Timetable, day: number): number {
  const next = new Date((day + 1) * dayMs);
  if (schedule.months.has(next.getUTCMonth() + 1)) return day + 1;
  return Date.UTC(next.getUTCFullYear(), next.getUTCMonth() + 1, 1) / dayMs;
}

function isOn(schedule: Schedule, day: number): boolean {
  const date = new Date(day * dayMs);
  return fallsOn(schedule, date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay());
}

/** Whether no clock change is near this day. */
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
