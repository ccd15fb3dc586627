// A cron schedule as sets of minutes, hours, days, months and weekdays. src/cron/ticks.ts computes the times from it.

import { CronExpressionParser, type CronFieldCollection } from 'cron-parser';
import { readExpression } from './expression.ts';

export type Schedule = {
  /** The author's text, trimmed. */
  readonly expression: string;
  /** Ascending. */
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: ReadonlySet<number>;
  /** 1 for January. */
  readonly months: ReadonlySet<number>;
  /** 0 for Sunday. */
  readonly weekdays: ReadonlySet<number>;
  /** Whether the field is `*`. When neither is, a day needs to match only one of the two (POSIX, crontab). */
  readonly anyDay: boolean;
  readonly anyWeekday: boolean;
};

export type ScheduleRead =
  { readonly schedule: Schedule; readonly notice: string | null } | { readonly problem: string };

/** Reads five fields. `notice` is a warning about a valid schedule; `problem` is the reason why the text is refused. */
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

/** `February has no 30th`, when none of the months has any of the days. */
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
