// A schedule: the sets of values that a cron expression stands for, and which days they fall on. When in time that is, cron/ticks.ts says.

import { CronExpressionParser, type CronFieldCollection } from 'cron-parser';
import { readExpression } from './expression.ts';

export type Schedule = {
  /** As it was written, without spaces around it. */
  readonly expression: string;
  /** Ascending. */
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: ReadonlySet<number>;
  /** 1 for January. */
  readonly months: ReadonlySet<number>;
  /** 0 for Sunday. */
  readonly weekdays: ReadonlySet<number>;
  /** Whether the field is `*`. When neither is, a day that fits one of the two is enough (POSIX, crontab). */
  readonly anyDay: boolean;
  readonly anyWeekday: boolean;
};

export type ScheduleRead =
  { readonly schedule: Schedule; readonly notice: string | null } | { readonly problem: string };

/** Five fields, or why they are none; `notice` is what the author may not have thought of. */
export function readSchedule(given: unknown): ScheduleRead {
  const read = readExpression(given);
  if ('problem' in read) return read;
  const missing = missingDay(read.plain);
  if (missing !== undefined && read.plain.endsWith(' *')) return { problem: `never fires: ${missing}` };
  const { expression } = read;
  const schedule = scheduleOf(expression, CronExpressionParser.parse(read.plain).fields);
  return { schedule, notice: missing ?? noticeOf(schedule) };
}

function scheduleOf(expression: string, fields: CronFieldCollection): Schedule {
  const { minute, hour, dayOfMonth, month, dayOfWeek } = fields;
  const numbers = (values: readonly (number | string)[]): number[] => values.map(Number);
  return {
    expression,
    minutes: numbers(minute.values),
    hours: numbers(hour.values),
    days: new Set(numbers(dayOfMonth.values)),
    months: new Set(numbers(month.values)),
    weekdays: new Set(numbers(dayOfWeek.values).map((day) => day % 7)),
    anyDay: dayOfMonth.isWildcard,
    anyWeekday: dayOfWeek.isWildcard,
  };
}

/** Whether its ticks fall on this day. */
export function fallsOn(schedule: Schedule, month: number, day: number, weekday: number): boolean {
  if (!schedule.months.has(month)) return false;
  const [onDay, onWeekday] = [schedule.days.has(day), schedule.weekdays.has(weekday)];
  return schedule.anyDay || schedule.anyWeekday ? onDay && onWeekday : onDay || onWeekday;
}

const monthNames =
  'January February March April May June July August September October November December'.split(' ');
const lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

export function monthName(month: number): string {
  return monthNames[month - 1] ?? '';
}

/** `February has no 30th`, when no day of month comes in any of the months. */
function missingDay(plain: string): string | undefined {
  const [, , days = '*', months = '*'] = plain.split(' ');
  if (days === '*' || months === '*') return undefined;
  const its = months.split(',').map(Number);
  const first = Math.min(...days.split(',').map(Number));
  if (its.some((month) => first <= lengths[month - 1]!)) return undefined;
  return `${its.map(monthName).join(' and ')} ${its.length === 1 ? 'has' : 'have'} no ${first}${first === 31 ? 'st' : 'th'}`;
}

function noticeOf({ anyDay, anyWeekday, days, months }: Schedule): string | null {
  const leap = !anyDay && anyWeekday && months.size === 1 && months.has(2) && Math.min(...days) === 29;
  return leap ? 'fires in leap years alone: other years have no 29th of February' : null;
}
