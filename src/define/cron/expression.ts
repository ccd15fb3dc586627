// Reads cron expressions: five fields in POSIX crontab syntax, plus `/step` and names, or a description of the error.
// Only expressions that pass here reach cron-parser, which accepts much more (FACTS 21).

type Field = {
  readonly name: string;
  readonly low: number;
  readonly high: number;
  readonly words?: readonly string[];
};

const fields: readonly Field[] = [
  { name: 'minute', low: 0, high: 59 },
  { name: 'hour', low: 0, high: 23 },
  { name: 'day of month', low: 1, high: 31 },
  {
    name: 'month',
    low: 1,
    high: 12,
    words: ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'],
  },
  { name: 'day of week', low: 0, high: 7, words: ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'] },
];

const maxLength = 100;

const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/**
 * `expression` is the trimmed text. `plain` writes every field as `*` or a list of ascending numbers.
 * `problem` says why the text is refused.
 */
export type Read = { readonly expression: string; readonly plain: string } | { readonly problem: string };

export function readExpression(given: unknown): Read {
  if (typeof given !== 'string')
    return { problem: `five fields needed, got ${given === null ? 'null' : typeof given}` };
  const expression = given.trim();
  const problem = shapeProblem(expression);
  if (problem !== undefined) return { problem };
  const texts = expression.split(/[ \t]+/);
  const read = fields.map((field, i) => readField(field, texts[i] ?? ''));
  const problems = read.flatMap((one) => ('problem' in one ? [one.problem] : []));
  if (problems.length > 0) return { problem: problems.join('; ') };
  const plain = read.map((one) => ('values' in one ? (one.values?.join(',') ?? '*') : '')).join(' ');
  return { expression, plain };
}

function shapeProblem(text: string): string | undefined {
  if (text.length > maxLength) return `it has ${text.length} characters, at most ${maxLength} are allowed`;
  if (text.startsWith('@')) return macroProblem(text);
  if (/^(CRON_)?TZ=/i.test(text)) return `five fields needed: the time zone goes into the option timeZone`;
  if (/(^|\s)#/.test(text)) return `five fields needed: a comment is no part of a schedule`;
  if (/[^\S \t]/.test(text)) return 'five fields needed, on one line, with spaces between them';
  const count = text === '' ? 0 : text.split(/[ \t]+/).length;
  if (count > 5) return `five fields needed, got ${count}: seconds and years are no part of a schedule`;
  return count === 5 ? undefined : `five fields needed, got ${count}`;
}

function macroProblem(text: string): string {
  const every = /^@every (\d{1,2})(m|h)$/.exec(text);
  const same = every
    ? every[2] === 'm'
      ? `*/${every[1]} * * * *`
      : `0 */${every[1]} * * *`
    : macros[text.toLowerCase()];
  const hint = same === undefined ? 'there is no such form for it' : `write ${same}`;
  return `five fields needed, not ${JSON.stringify(text)}: ${hint}`;
}

/** `values` is null for `*`. */
type FieldRead = { readonly values: readonly number[] | null } | { readonly problem: string };

function readField(field: Field, text: string): FieldRead {
  if (text === '*') return { values: null };
  const values = new Set<number>();
  for (const item of text.split(',')) {
    const read = readItem(field, item);
    if (typeof read === 'string') return { problem: `${field.name}: ${read}` };
    for (let value = read.from; value <= read.to; value += read.step)
      values.add(field.high === 7 ? value % 7 : value); // Sunday is 0 and 7
  }
  return { values: [...values].toSorted((a, b) => a - b) };
}

type Range = { readonly from: number; readonly to: number; readonly step: number };

/** Reads `*`, `5` or `1-5`; `*` and a range may have a step such as `/2`. A string describes the error. */
function readItem(field: Field, item: string): Range | string {
  if (item === '') return 'there is nothing between two commas, or before or after one';
  const [base = '', stepText, ...more] = item.split('/');
  const [first = '', last, ...rest] = base.split('-');
  if (more.length > 0 || rest.length > 0) return `${quote(item)} is neither a value, a range nor a step`;
  const from = base === '*' ? field.low : valueOf(field, first);
  const to =
    base === '*' ? field.high - (field.high === 7 ? 1 : 0) : last === undefined ? from : valueOf(field, last);
  if (typeof from === 'string') return from;
  if (typeof to === 'string') return to;
  if (from > to) return `the range ${quote(base)} runs backwards`;
  if (stepText === undefined) return { from, to, step: 1 };
  const step = /^\d{1,3}$/.test(stepText) ? Number(stepText) : 0;
  if (step < 1 || step > field.high)
    return `the step of ${quote(item)} must be a whole number from 1 to ${field.high}`;
  if (base !== '*' && last === undefined)
    return `a step needs a range before it: write ${quote(`${base}-${field.high}/${stepText}`)}, not ${quote(item)}`;
  return { from, to, step };
}

function valueOf({ low, high, words = [] }: Field, text: string): number | string {
  const word = words.indexOf(text.toUpperCase());
  if (word >= 0) return word + low;
  const value = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= low && value <= high) return value;
  const or = words.length > 0 ? `, or ${words[0]} to ${words.at(-1)}` : '';
  return `${quote(text)} is no whole number from ${low} to ${high}${or}`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 20 ? `${text.slice(0, 20)}…` : text);
}
