// A schedule in words, to check an expression against.

import { monthName, type Schedule } from '../define/cron/schedule.ts';

const weekdayNames = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
/** Up to this many times of a day are listed one by one. */
const mostTimes = 6;

/** `at 02:30 on Monday to Friday, Europe/Berlin` */
export function wordsOf(schedule: Schedule, timeZone: string): string {
  const words = [times(schedule), ...days(schedule), ...months(schedule)].join(' ');
  return `${words}, ${timeZone}`;
}

function times({ hours, minutes }: Schedule): string {
  const everyHour = hours.length === 24;
  const step = stepOf(minutes, 60);
  const everyStep = step === 1 ? 'every minute' : `every ${step} minutes`;
  if (everyHour && step !== undefined) return everyStep;
  if (hours.length * minutes.length <= mostTimes)
    return `at ${list(hours.flatMap((hour) => minutes.map((minute) => `${two(hour)}:${two(minute)}`)))}`;
  const often = step === undefined ? `at minute ${ranges(minutes, String)}` : everyStep;
  if (everyHour) return `${often} of every hour`;
  const hourStep = stepOf(hours, 24);
  return `${often} of ${hourStep === undefined ? `the hours ${ranges(hours, String)}` : `every ${hourStep} hours`}`;
}

function days({ anyDay, anyWeekday, days: ofMonth, weekdays }: Schedule): string[] {
  const onDays = `on day ${ranges([...ofMonth], String)} of the month`;
  const ascending = [...weekdays].toSorted((a, b) => a - b);
  const onWeekdays = `on ${ranges(ascending, (day) => weekdayNames[day]!)}`;
  if (anyDay && anyWeekday) return [];
  if (anyDay) return [onWeekdays];
  return anyWeekday ? [onDays] : [`${onDays} or ${onWeekdays}`];
}

function months({ months: of }: Schedule): string[] {
  return of.size === 12 ? [] : [`in ${ranges([...of], monthName)}`];
}

/** `0, 15, 30, 45` of 60 → 15; undefined if the values are not all multiples of one number. */
function stepOf(values: readonly number[], of: number): number | undefined {
  const step = of / values.length;
  const isRegular = values.length > 1 && values.every((value, i) => value === i * step);
  return isRegular && Number.isInteger(step) ? step : undefined;
}

/** `1, 2, 3, 5` → `1 to 3 and 5` */
function ranges(values: readonly number[], name: (value: number) => string): string {
  const runs: number[][] = [];
  for (const value of values) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1) === value - 1) run.push(value);
    else runs.push([value]);
  }
  return list(
    runs.flatMap((run) => (run.length > 2 ? [`${name(run[0]!)} to ${name(run.at(-1)!)}`] : run.map(name))),
  );
}

function list(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
