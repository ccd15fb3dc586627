// A moment as shown to people: a Date, or a text for a time that JavaScript cannot hold. Such times (`infinity`, years beyond 9999, years BC) can be
// written only by SQL.

export type Moment = Date | string;

/** A column of timestamptz as text: ISO 8601, whatever the session's DateStyle is. */
export function momentText(column: string): string {
  return `to_json(${column}) #>> '{}'`;
}

/**
 * Seconds since the moment in the column. Before version 17, Postgres cannot subtract an infinite time, and the statement would fail for all rows.
 */
export function secondsSince(column: string): string {
  return `(date_part('epoch', now()) - date_part('epoch', ${column}))`;
}

const usual = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-][\d:]+)$/;

/** Reads the result of `momentText`. */
export function momentOf(text: string): Moment;
export function momentOf(text: string | null): Moment | null;
export function momentOf(text: string | null): Moment | null {
  if (text === null || !usual.test(text)) return text;
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : date;
}

type Shown<Row, Name extends keyof Row> = {
  readonly [K in Name]: null extends Row[K] ? Moment | null : Moment;
};

/** A row whose columns of these names came from `momentText`. */
export function withMoments<Row extends object, Name extends keyof Row>(
  row: Row,
  names: readonly Name[],
): Omit<Row, Name> & Shown<Row, Name> {
  const moments = names.map((name) => [name, momentOf(row[name] as string | null)]);
  return { ...row, ...(Object.fromEntries(moments) as Shown<Row, Name>) };
}

export function textOfMoment(moment: Moment | null): string {
  if (moment === null) return '–';
  return moment instanceof Date ? moment.toISOString() : moment;
}
