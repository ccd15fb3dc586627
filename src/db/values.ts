// Values on their way to a driver and back. Statements on the application's connections take and return texts. Drivers and query builders convert
// dates, arrays, booleans and JSON differently, and an application can change their parsers.

/** An array for a parameter such as `$1::text::uuid[]`, as Postgres reads it. */
export function arrayText(values: readonly (string | number | boolean | null | undefined)[]): string {
  return `{${values.map(elementText).join(',')}}`;
}

function elementText(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value !== 'string') return String(value);
  return `"${value.replaceAll(/[\\"]/g, '\\$&')}"`;
}

/** For `$1::text::timestamptz`: Postgres reads this form the same under every DateStyle. */
export const timeText = (time: Date | null | undefined): string | null => time?.toISOString() ?? null;

/** The value of a column that was cast to text. */
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

/** From microseconds since the epoch: a number is the same under every DateStyle and TimeZone. */
export const timeOf = (microseconds: unknown): Date => new Date(numberOf(microseconds) / 1_000);

/** The SQL of a time column that `timeOf` reads. */
export const microseconds = (column: string): string =>
  `(date_part('epoch', ${column}) * 1000000)::int8::text`;

/** Not `arrayText`: a UUID needs no quotes. */
export const uuidsAsText = (all: readonly string[]): string => `{${all.join(',')}}`;

/**
 * The format of array_recv: one dimension, no nulls, the element type's oid, the count, the lower bound 1; each element after its length. Postgres
 * need not parse texts.
 */
export function uuidsAsBinary(all: readonly string[]): Buffer {
  const head = `000000010000000000000b86${all.length.toString(16).padStart(8, '0')}00000001`;
  return Buffer.from([head, ...all].join('00000010').replaceAll('-', ''), 'hex');
}
