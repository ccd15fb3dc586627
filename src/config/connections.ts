// How many connections to the application's database a process opens at most, and for what. All processes share one server: by default each
// takes little where the server has little, so that the Procfile's five fit into max_connections = 25; WAYBILL_POOL_MAX says otherwise.

import type { Executor } from '../db/executor.ts';

/** Connections at most. */
export type Sizes = {
  /** Claims in transactions, leases, loops. A transaction may need a second one beside it, so there are two at the least. */
  readonly own: number;
  /** Claims of one statement, and settlements: sessions that keep plans. */
  readonly planned: number;
  /** Transactions of web's actions. */
  readonly actions: number;
  /** Transactions of handlers; of web, in its drain route. */
  readonly handlers: number;
  /** LISTEN; they are no pool. */
  readonly listening: number;
};

export type SizesAsked = {
  /** WAYBILL_POOL_MAX */
  readonly poolMax: number | null;
  readonly concurrency: number;
  /** What the server has for this role and database; null: not known. */
  readonly allowed: number | null;
};

type RoleName = 'web' | 'relay' | 'email' | 'jobs' | 'scheduler';

/** From here on a server has enough for a fleet of some size. */
const roomy = 60;

/** Together 22: max_connections = 25 keeps three for superusers. */
const few: Readonly<Record<RoleName, Sizes>> = {
  web: { own: 2, planned: 0, actions: 2, handlers: 1, listening: 0 },
  relay: { own: 3, planned: 0, actions: 0, handlers: 0, listening: 1 },
  email: { own: 2, planned: 1, actions: 0, handlers: 0, listening: 1 },
  jobs: { own: 2, planned: 1, actions: 0, handlers: 2, listening: 1 },
  scheduler: { own: 2, planned: 0, actions: 0, handlers: 0, listening: 1 },
};

/** @param role of a process: a role, `all`, or some with `+` between them */
export function sizesOf(role: string, { poolMax, concurrency, allowed }: SizesAsked): Sizes {
  const names = role === 'all' ? (Object.keys(few) as RoleName[]) : (role.split('+') as RoleName[]);
  const least = names.map((name) => few[name] ?? few.jobs).reduce(both);
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

/** What is more than the least goes to the application's transactions, then to claims and settlements, then to the rest. Never less than the least. */
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

/** The least of the server's limit, the role's and the database's, without what is kept for superusers. */
export const allowanceSql = `
  select least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0),
           (select rolconnlimit from pg_roles where rolname = current_user and rolconnlimit >= 0),
           (select datconnlimit from pg_database where datname = current_database() and datconnlimit >= 0))::int as allowed`;

export async function readAllowance(db: Executor): Promise<number> {
  return (await db.executeSql<{ allowed: number }>(allowanceSql)).rows[0]!.allowed;
}
