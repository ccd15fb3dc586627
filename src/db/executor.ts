// The one interface through which SQL runs. pg-boss's adapters for Drizzle, Kysely, Knex and Prisma have the same shape,
// so that a message can be recorded in a transaction of any of them.

import { withCallers } from '../redaction/place.ts';
import { ownTypes } from './parsers.ts';
import { WaybillError } from '../errors.ts';
import { isPreparing, queryPrepared } from './prepared.ts';

export type SqlResult<Row> = { readonly rows: Row[] };

/** Runs one statement. Values are numbered `$1 …` in the text. */
export type Executor = {
  /** A pool of pg whose sessions keep plans, made from the indexes alone (prepared.ts). A Buffer among the values is in binary there. */
  readonly isPlanned?: true;
  /** @param often the same text comes again and again: its plan is kept where that is possible (prepared.ts), and elsewhere nothing changes */
  executeSql<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    often?: boolean,
  ): Promise<SqlResult<Row>>;
};

/** What a pg client or pool offers of itself. */
export type PgLike = {
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ rows: unknown[]; /** Of the tag, such as `COMMIT`. */ command?: string }>;
};

/** Accepts an executor or a pg client (or pool) and gives an executor. */
export function toExecutor(source: Executor | PgLike): Executor {
  if ('executeSql' in source) {
    return {
      ...(source.isPlanned && { isPlanned: true }),
      async executeSql<Row>(text: string, values?: readonly unknown[], often?: boolean) {
        const result = await marking((async () => source.executeSql<Row>(text, values, often))());
        if (!Array.isArray((result as SqlResult<Row> | undefined)?.rows)) throw noRows(result);
        return result;
      },
    };
  }
  return {
    async executeSql<Row>(text: string, values: readonly unknown[] = [], often = false) {
      const result = await marking(
        often && isPreparing(source)
          ? queryPrepared(source, text, values as unknown[])
          : isOfPg(source)
            ? source.query({ text, values: values as unknown[], types: ownTypes })
            : source.query(text, values as unknown[]),
      );
      return { rows: result.rows as Row[] };
    },
  };
}

type OfPg = { query(config: object): Promise<{ rows: unknown[] }> };

/** A client or a pool of pg itself: it takes type parsers for one query. Others that have a `query` know a text and values. */
function isOfPg(source: object): source is OfPg {
  return 'connectionParameters' in source || ('totalCount' in source && 'waitingCount' in source);
}

/** An adapter that was written for something else. */
function noRows(result: unknown): WaybillError {
  const given = Array.isArray(result) ? 'a list' : result === null ? 'null' : `${typeof result}`;
  return new WaybillError(
    'executor_invalid',
    `executeSql must give an object with a list of rows, { rows: […] }, and gave ${given}: the statement went out, and its answer cannot be read`,
  );
}

const mark = Symbol('waybill: thrown by the database client');

/** Marks what the database client throws: a handler's own ECONNREFUSED looks just like the database's. @param setting the variable that leads there */
export async function marking<T>(asked: Promise<T>, setting?: string): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw markError(withCallers(error), setting);
  }
}

/** A mark with a setting stays; it replaces one without, of a transaction that does not know where its connection leads. */
export function markError<E>(error: E, setting = ''): E {
  if (typeof error === 'object' && error !== null && Object.isExtensible(error) && !ownMark(error))
    Object.defineProperty(error, mark, { value: setting, configurable: true });
  return error;
}

/** Also when a query builder wrapped it in an error of its own. */
export function isFromDatabase(error: unknown): boolean {
  return markOf(error) !== undefined;
}

/** The variable whose value leads to the database that threw this. */
export function settingOf(error: unknown): string {
  return markOf(error) || 'DATABASE_URL';
}

function markOf(error: unknown): string | undefined {
  const own = ownMark(error);
  return own ?? (error instanceof Error ? ownMark(error.cause) : undefined);
}

function ownMark(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && mark in error ? String(error[mark]) : undefined;
}
