// The executor: the one interface through which SQL runs. pg-boss's adapters for Drizzle, Kysely, Knex and Prisma have the same shape, so a message
// can be recorded in a transaction of any of them.

import { withCallers } from '../redaction/place.ts';
import { ownTypes } from './parsers.ts';
import { isPreparing, queryPrepared } from './prepared.ts';

/** The rows of one statement. */
export type SqlResult<Row> = { readonly rows: Row[] };

/** Runs one statement. Values are numbered `$1 …` in the text. */
export type Executor = {
  /** A pool of pg whose sessions keep plans that use indexes only (prepared.ts). It sends a Buffer among the values in binary. */
  readonly isPlanned?: true;
  /** Names in its statements mean Postgres's own, whatever the search_path contains (settings.ts). */
  readonly hasOwnPath?: true;
  /**
   * Runs one statement. Errors of the database pass through.
   * @param often the same text runs again and again: its plan is kept where that is possible (prepared.ts)
   */
  executeSql<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    often?: boolean,
  ): Promise<SqlResult<Row>>;
};

/** The part of a pg client or pool that is used here. */
export type PgLike = {
  /** Runs one statement; values are numbered `$1 …` in the text. */
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ rows: unknown[]; /** The command tag, such as `COMMIT`. */ command?: string }>;
};

/** Marks executors made in this package: they accept `often` and return rows. */
const ours = Symbol('waybill: an executor of ours');

/**
 * Makes an executor of an executor or a pg client (or pool).
 * @throws ExecutorError when it is neither
 */
export function toExecutor(source: Executor | PgLike): Executor {
  const kind = kindOf(source);
  if (kind === undefined) throw new ExecutorError(source);
  if ('executeSql' in source) {
    if (ours in source) return source;
    return {
      [ours]: true,
      async executeSql<Row>(text: string, values: readonly unknown[] = []) {
        return { rows: rowsOf<Row>(await marking((async () => source.executeSql(text, values))())) };
      },
    } as Executor;
  }
  return {
    [ours]: true,
    ...(withOwnPath.has(source) && { hasOwnPath: true }),
    async executeSql<Row>(text: string, values: readonly unknown[] = [], often = false) {
      const result = await marking(
        often && isPreparing(source)
          ? queryPrepared(source, text, values as unknown[])
          : isOfPg(source)
            ? source.query({ text, values: values as unknown[], types: ownTypes })
            : source.query(text, values as unknown[]),
      );
      return { rows: rowsOf<Row>(result) };
    },
  } as Executor;
}

/** Clients whose search_path begins with pg_catalog (session-pool.ts). */
export const withOwnPath = new WeakSet<object>();

/** Marks an executor that implements `often` itself. */
export const asOurs = <E extends Executor>(executor: E): E => Object.assign(executor, { [ours]: true });

/** postgres-js, TypeORM and others return the rows themselves. */
function rowsOf<Row>(result: unknown): Row[] {
  if (Array.isArray(result)) return result as Row[];
  const rows: unknown =
    typeof result === 'object' && result !== null && 'rows' in result ? result.rows : undefined;
  if (Array.isArray(rows)) return rows as Row[];
  throw new ExecutorError(result, 'answered');
}

function kindOf(source: unknown): 'executor' | 'client' | undefined {
  if (typeof source !== 'object' || source === null) return undefined;
  if ('executeSql' in source) return typeof source.executeSql === 'function' ? 'executor' : undefined;
  return 'query' in source && typeof source.query === 'function' ? 'client' : undefined;
}

/** Objects that are given by mistake, and how to make an executor of each. */
const others: readonly (readonly [isIt: (source: object) => boolean, hint: string])[] = [
  [
    (source) => 'unsafe' in source && 'begin' in source,
    'a client of postgres-js: give { executeSql: (text, values) => sql.unsafe(text, values) }',
  ],
  [(source) => '$queryRawUnsafe' in source, 'a client of Prisma: give fromPrisma(tx) of pg-boss'],
  [
    (source) => 'executeQuery' in source || 'selectFrom' in source,
    'a Kysely: give fromKysely(trx) of pg-boss',
  ],
  [(source) => 'raw' in source && typeof source === 'function', 'a Knex: give fromKnex(trx) of pg-boss'],
  [
    (source) => 'dialect' in source || '$client' in source || 'select' in source,
    'a Drizzle database: give fromDrizzle(tx, sql) of pg-boss',
  ],
  [(source) => 'connect' in source, 'something that connects and has no query'],
];

export class ExecutorError extends TypeError {
  override readonly name = 'ExecutorError';
  readonly code = 'executor_invalid';
  constructor(given: unknown, how: 'given' | 'answered' = 'given') {
    super(how === 'given' ? refusal(given) : badAnswer(given));
  }
}

function refusal(given: unknown): string {
  const isObject = (typeof given === 'object' && given !== null) || typeof given === 'function';
  const known = isObject ? others.find(([isIt]) => isIt(given)) : undefined;
  const shown = known ? known[1] : isObject ? 'an object with neither' : shownAs(given);
  return `an executor is needed: a client or a pool of pg, or an object with executeSql(text, values) that gives { rows }; this is ${shown} (docs/adopting.md)`;
}

function badAnswer(given: unknown): string {
  return `executeSql must give { rows: […] } or the rows themselves, and it gave ${typeof given === 'object' && given !== null ? `an object with ${Object.keys(given).slice(0, 5).join(', ') || 'nothing'}` : shownAs(given)}`;
}

/** Never the value: it may be a URL with a password. */
const shownAs = (given: unknown): string =>
  given === null ? 'null' : typeof given === 'undefined' ? 'undefined' : `a ${typeof given}`;

/** A client or a pool of pg itself accepts type parsers for one query. Other objects with a `query` accept only a text and values. */
function isOfPg(source: object): source is { query(config: object): Promise<{ rows: unknown[] }> } {
  return 'connectionParameters' in source || ('totalCount' in source && 'waitingCount' in source);
}

const mark = Symbol('waybill: thrown by the database client');

/**
 * Marks errors of the database client: a handler's own ECONNREFUSED looks the same as the database's. @param setting the variable that holds the
 * database's URL
 */
export async function marking<T>(asked: Promise<T>, setting?: string): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw markError(withCallers(error), setting);
  }
}

/** A mark with a setting is kept. It replaces a mark without one, made by a transaction that does not know its setting. */
export function markError<E>(error: E, setting = ''): E {
  if (typeof error === 'object' && error !== null && Object.isExtensible(error) && !ownMark(error))
    Object.defineProperty(error, mark, { value: setting, configurable: true });
  return error;
}

/** True also when a query builder wrapped the error in one of its own. */
export function isFromDatabase(error: unknown): boolean {
  return markOf(error) !== undefined;
}

/** The variable that holds the URL of the database that threw this. */
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
