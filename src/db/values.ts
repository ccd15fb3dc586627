// Values on their way to a driver and back. Statements that run on connections of the application take and give texts: drivers and query builders
// each have an idea of their own of what a date, an array, a boolean or JSON is, and an application can give them others.

/** An array for a parameter such as `$1::text::uuid[]`, as Postgres reads it. */
export function arrayText(values: readonly (string | number | boolean | null | undefined)[]): string {
  return `{${values.map(elementText).join(',')}}`;
}

function elementText(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value !== 'string') return String(value);
  return `"${value.replaceAll(/[\\"]/g, '\\$&')}"`;
}

/** For `$1::text::timestamptz`: this form is read the same under every DateStyle. */
export const timeText = (time: Date | null | undefined): string | null => time?.toISOString() ?? null;

/** What came back of a column that was cast to text. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  return String(value);
}

export const textOrNull = (value: unknown): string | null =>
  value === null || value === undefined ? null : textOf(value);

export const numberOf = (value: unknown): number =>
  typeof value === 'number' ? value : Number(textOf(value));

export const flagOf = (value: unknown): boolean =>
  value === true || /^(t|true|1)$/.test(textOf(value).toLowerCase());

export const jsonOf = (value: unknown): unknown => JSON.parse(textOf(value));

/** Of microseconds since the epoch: a number is the same under every DateStyle and TimeZone. */
export const timeOf = (microseconds: unknown): Date => new Date(numberOf(microseconds) / 1_000);

/** The column of a time that `timeOf` reads. */
export const microseconds = (column: string): string =>
  `(date_part('epoch', ${column}) * 1000000)::int8::text`;

/** The driver would look for quotes in each. */
export const uuidsAsText = (all: readonly string[]): string => `{${all.join(',')}}`;

/** What array_recv reads: one dimension, no nulls, the type's oid, so many from 1 on; each with its length before it. It need not parse them. */
export function uuidsAsBinary(all: readonly string[]): Buffer {
  const head = `000000010000000000000b86${all.length.toString(16).padStart(8, '0')}00000001`;
  return Buffer.from([head, ...all].join('00000010').replaceAll('-', ''), 'hex');
}
