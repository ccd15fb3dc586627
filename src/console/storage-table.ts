// The storage of the database: connections, what keeps vacuum from working, and the tables with their dead rows and last prune.

import type { Connections } from '../operate/connections.ts';
import type { Holder, Storage, TableSize } from '../operate/storage.ts';
import { bytes, duration, number, plural, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { table } from './table.ts';

export function storageOf({ bytes: all, tables, oldestHolder, connections }: Storage): Markup {
  return markup`<h2>Connections</h2>${connectionsOf(connections)}
    <h2>Tables</h2><p class="meta">${bytes(all)} together. ${holderOf(oldestHolder)}</p>${tablesOf(tables)}`;
}

function connectionsOf({ used, most, by }: Connections): Markup {
  const isTight = used > most * 0.8;
  const free = `${number(used)} of ${number(most)} connections of the server are used.`;
  const warning = isTight
    ? ' Few are left: lower WAYBILL_POOL_MAX, put a pooler in between, or raise max_connections.'
    : '';
  return markup`<p class="meta"><span class="${isTight ? 'warn' : ''}">${free}</span>${warning}</p>${table(
    'Connections',
    by,
    [
      {
        head: 'Application',
        as: 'lead',
        cell: ({ application }) => markup`<code>${shown(application || 'others', 80)}</code>`,
      },
      { head: 'Connections', as: 'n', cell: ({ connections }) => number(connections) },
      { head: 'Active', as: 'n', cell: ({ active }) => number(active) },
      { head: 'Idle in transaction', as: 'n', cell: ({ idleInTransaction }) => number(idleInTransaction) },
    ],
    { empty: markup`No connection.`, id: ({ application }) => application },
  )}`;
}

/** Vacuum is held back in earnest after this many seconds. */
const longSeconds = 900;

function holderOf(holder: Holder | null): Markup {
  if (holder === null) return markup`Nothing holds back vacuum.`;
  const { type, name, pid, state, seconds, transactions } = holder;
  const who = markup`the ${type} <code>${shown(name, 80)}</code>${pid === null ? null : ` (pid ${pid}${state === null ? '' : `, ${state}`})`}`;
  const since = seconds === null ? '' : ` for ${duration(seconds)}`;
  const tone = (seconds ?? 0) > longSeconds || transactions > 1_000_000 ? 'warn' : '';
  return markup`<span class="${tone}">Vacuum is held back by ${who}${since}; ${plural(transactions, 'transaction has', 'transactions have')} begun since.</span>`;
}

/** The largest; the others are small. */
const most = 12;

function tablesOf(tables: readonly TableSize[]): Markup {
  const rest = tables.slice(most);
  const more =
    rest.length === 0
      ? null
      : markup`<p class="meta">And ${plural(rest.length, 'smaller table')} with ${bytes(rest.reduce((sum, one) => sum + one.bytes, 0))}.</p>`;
  return markup`${table(
    'Tables',
    tables.slice(0, most),
    [
      { head: 'Table', as: 'lead', cell: ({ name }) => markup`<code>${name}</code>` },
      { head: 'Size', as: 'n', cell: (one) => bytes(one.bytes) },
      { head: 'Indexes', as: 'n wide', cell: ({ indexBytes }) => bytes(indexBytes) },
      { head: 'Rows', as: 'n', cell: ({ rows }) => number(rows) },
      { head: 'Dead rows', as: 'n', cell: dead },
      { head: 'Vacuum', as: 'n', cell: vacuum },
      {
        head: 'Prune',
        as: 'n',
        cell: ({ lastPrune }) =>
          lastPrune === null
            ? '–'
            : markup`${relative(lastPrune.at)}<small>${plural(lastPrune.rows, 'row')} went</small>`,
      },
    ],
    { empty: markup`No table. <code>waybill release</code> makes them.`, id: ({ name }) => name },
  )}${more}`;
}

function dead({ rows, deadRows }: TableSize): Markup | string {
  if (deadRows < 10_000 || deadRows < rows * 0.2) return number(deadRows);
  return markup`<span class="warn">${number(deadRows)}</span>`;
}

function vacuum({ lastVacuum, lastAutovacuum }: TableSize): Markup {
  const times = [lastVacuum, lastAutovacuum].filter((one) => one instanceof Date);
  const [last] = times.toSorted((a, b) => b.getTime() - a.getTime());
  return relative(last ?? null);
}
