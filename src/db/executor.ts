// The one interface through which SQL runs. pg-boss's adapters for Drizzle, Kysely, Knex and Prisma have the same shape,
// so that a message can be recorded in a transaction of any of them.

import { withCallers } from '../redaction/place.ts';
import { ownTypes } from './parsers.ts';
import { isPreparing, queryPrepared } from './prepared.ts';

export type SqlResult<Row> = { readonly rows: Row[] };

/** Runs one statement. Values are numbered `$1 …` in the text. */
export type Executor = {
  /** A pool of pg whose sessions keep plans, made from the indexes alone (prepared.ts). A Buffer among the values is in binary there. */
  readonly isPlanned?: true;
  /** Names in its statements mean Postgres's own, whatever else the search_path leads to (settings.ts). */
  readonly hasOwnPath?: true;
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

/** What was made here knows `often`, and answers with rows. */
const ours = Symbol('waybill: an executor of ours');

/**
 * Accepts an executor or a pg client (or pool) and gives an executor.
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

/** Clients of our own sessions. */
export const withOwnPath = new WeakSet<object>();

/** Marks an executor whose methods are its own. */
export const asOurs = <E extends Executor>(executor: E): E => Object.assign(executor, { [ours]: true });

/** postgres-js, TypeORM and others answer with the rows themselves. */
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

/** What was given instead, where it can be told, and what makes an executor of it. */
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

/** Not the value: it may be a URL with a password. */
const shownAs = (given: unknown): string =>
  given === null ? 'null' : typeof given === 'undefined' ? 'undefined' : `a ${typeof given}`;

type OfPg = { query(config: object): Promise<{ rows: unknown[] }> };

/** A client or a pool of pg itself: it takes type parsers for one query. Others that have a `query` know a text and values. */
function isOfPg(source: object): source is OfPg {
  return 'connectionParameters' in source || ('totalCount' in source && 'waitingCount' in source);
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
