// Which messages a person means: one filter for listing and for retrying in bulk. Only what was asked for goes into the statement,
// so that Postgres can choose an index for it.

import type { Kind, Status } from './message.ts';

export type MessageFilter = {
  readonly status?: readonly Status[] | undefined;
  readonly kind?: readonly Kind[] | undefined;
  readonly name?: readonly string[] | undefined;
  readonly queue?: readonly string[] | undefined;
  readonly deliveryKey?: readonly string[] | undefined;
  /** Recorded at this time or later. */
  readonly since?: Date | undefined;
  /** Recorded before this time. */
  readonly until?: Date | undefined;
  /** Part of the last error, in upper or lower case. */
  readonly errorContains?: string | undefined;
};

/** Conditions and their values; `conditions` are joined by `and`. */
export type Where = { readonly conditions: string[]; readonly values: unknown[] };

const columns = { status: 'status', kind: 'kind', name: 'name', queue: 'queue', deliveryKey: 'delivery_key' } as const;

/** Ids carry the clock of the process that recorded them, which may be wrong by so much. */
const clockMarginMs = 86_400_000;

export function whereOf(filter: MessageFilter): Where {
  const where: Where = { conditions: [], values: [] };
  const add = (condition: (value: string) => string, value: unknown): void => {
    where.values.push(value);
    where.conditions.push(condition(`$${where.values.length}`));
  };
  for (const [key, column] of Object.entries(columns) as [keyof typeof columns, string][]) {
    const wanted = filter[key];
    if (wanted !== undefined && wanted.length > 0) add((v) => `${column} = any(${v}::text[])`, wanted);
  }
  const { since, until, errorContains } = filter;
  if (since) {
    add((v) => `created_at >= ${v}::timestamptz`, since);
    add((v) => `id >= ${v}::uuid`, firstIdAt(since.getTime() - clockMarginMs)); // where the walk through the primary key may end
  }
  if (until) add((v) => `created_at < ${v}::timestamptz`, until);
  if (errorContains !== undefined) add((v) => `position(lower(${v}) in lower(last_error)) > 0`, errorContains);
  where.conditions.push(...partialIndex(filter.status ?? []));
  return where;
}

/** The predicate of the partial index that holds these states alone. The CHECKs of the table make it true for them. */
function partialIndex(status: readonly Status[]): string[] {
  if (status.length !== 1) return [];
  if (status[0] === 'dead') return ['dead_at is not null'];
  if (status[0] === 'sending')
    return ['relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null'];
  return [];
}

function firstIdAt(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-0000-0000-000000000000`;
}
