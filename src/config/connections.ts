// The maximum number of connections that a process opens to the application's database, by purpose. All processes share one server. By default each
// takes few where the server allows few, so the Procfile's five fit into max_connections = 25. WAYBILL_POOL_MAX overrides it.

import type { Executor } from '../db/executor.ts';

export type Sizes = {
  /** Claims in transactions, leases, loops. A transaction may need a second connection beside it, so there are at least two. */
  readonly own: number;
  /** Claims of one statement, and settlements: sessions that keep plans. */
  readonly planned: number;
  /** Transactions of web's actions. */
  readonly actions: number;
  /** Transactions of handlers; in web, of its drain route. */
  readonly handlers: number;
  /** LISTEN, outside of the pools. */
  readonly listening: number;
};

export type SizesAsked = {
  readonly poolMax: number | null;
  readonly concurrency: number;
  /** Connections that the server allows this role and database; null: not known. */
  readonly allowed: number | null;
};

type RoleName = 'web' | 'relay' | 'email' | 'jobs' | 'scheduler';

/** From this limit on, a server has enough for a larger fleet. */
const roomy = 60;

/** 22 together: max_connections = 25 keeps three for superusers. */
const few: Readonly<Record<RoleName, Sizes>> = {
  web: { own: 2, planned: 0, actions: 2, handlers: 1, listening: 0 },
  relay: { own: 3, planned: 0, actions: 0, handlers: 0, listening: 1 },
  email: { own: 2, planned: 1, actions: 0, handlers: 0, listening: 1 },
  jobs: { own: 2, planned: 1, actions: 0, handlers: 2, listening: 1 },
  scheduler: { own: 2, planned: 0, actions: 0, handlers: 0, listening: 1 },
};

/** @param role of a process, as its row and its log have it: a role, `all`, or several joined with `+` */
export const rolesIn = (role: string): readonly RoleName[] =>
  role === 'all' ? (Object.keys(few) as RoleName[]) : (role.split('+') as RoleName[]);

/** @param role of a process */
export function sizesOf(role: string, { poolMax, concurrency, allowed }: SizesAsked): Sizes {
  const least = rolesIn(role)
    .map((name) => few[name] ?? few.jobs)
    .reduce(both);
  if (poolMax !== null) return spread(least, poolMax, concurrency);
  if (allowed !== null && allowed < roomy) return least;
  const { listening, planned, actions, handlers } = least;
  return {
    own: 8,
    planned: planned === 0 ? 0 : 3,
    actions: actions === 0 ? 0 : 8,
    handlers: handlers === 0 ? 0 : Math.min(concurrency, 10),
    listening,
  };
}

const both = (a: Sizes, b: Sizes): Sizes => ({
  own: Math.min(8, a.own + b.own),
  planned: Math.min(3, a.planned + b.planned),
  actions: a.actions + b.actions,
  handlers: a.handlers + b.handlers,
  listening: a.listening + b.listening,
});

export const totalOf = ({ own, planned, actions, handlers, listening }: Sizes): number =>
  own + planned + actions + handlers + listening;

/** Connections beyond the minimum go to the application's transactions, then to claims and settlements, then to the rest. Never below the minimum. */
function spread(least: Sizes, poolMax: number, concurrency: number): Sizes {
  let { own, planned, actions, handlers } = least;
  for (let left = poolMax - totalOf(least); left > 0; left--) {
    if (actions > 0 && actions <= own) actions++;
    else if (handlers > 0 && actions === 0 && handlers < Math.min(concurrency, 2 * own)) handlers++;
    else if (planned > 0 && planned < 3) planned++;
    else own++;
  }
  return { own, planned, actions, handlers, listening: least.listening };
}

/** The lowest of the limits of the server, the role and the database, without connections reserved for superusers. */
export const allowanceSql = `
  select least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0),
           (select rolconnlimit from pg_roles where rolname = current_user and rolconnlimit >= 0),
           (select datconnlimit from pg_database where datname = current_database() and datconnlimit >= 0))::int as allowed`;

export async function readAllowance(db: Executor): Promise<number> {
  return (await db.executeSql<{ allowed: number }>(allowanceSql)).rows[0]!.allowed;
}
