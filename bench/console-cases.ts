// What the benchmark of the console asks: every page, every token of the search and every list of the admin API, with values of the shop. A new page,
// token or route needs its values here: without them the benchmark ends and names it.

import { pages } from '../src/console/pages.ts';
import { tokens } from '../src/console/search.ts';
import type { Executor } from '../src/db/executor.ts';

export type Case = { readonly name: string; readonly url: string };

export const facts = [
  'dead',
  'delivered',
  'event',
  'running',
  'waiting',
  'trace',
  'request',
  'bulk',
] as const;
/** Ids of messages that have something to show. */
export type Facts = Readonly<Record<(typeof facts)[number], string>>;

/** Values: number of an order. */
const factsSql = `
  select (select id from waybill.outbox_messages where dead_at is not null and queue = 'crm' order by dead_at desc limit 1)::text as dead,
         (select id from waybill.outbox_messages where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null limit 1)::text as running,
         (select id from waybill.outbox_messages where queue = 'invoices' and relayed_at is null and cancelled_at is null limit 1)::text as waiting,
         m.id::text as delivered, m.parent_id::text as event, substr(m.traceparent, 4, 32) as trace, m.request_id as request,
         (select id from waybill.bulk_acts limit 1)::text as bulk
    from waybill.outbox_messages m where m.delivery_key = $1`;

/** The number of an order of three days ago. */
export const orderOf = (messages: number): number => Math.floor(((messages * 0.99) / 8) * (4 / 7));

export async function readFacts(db: Executor, order: number): Promise<Facts> {
  return (await db.executeSql<Facts>(factsSql, [`receipt-${order}`])).rows[0]!;
}

type Values = Readonly<Record<string, readonly string[]>>;

/** For each parameter of a path, by the path, or for all paths. */
function pathValues({ dead, delivered, event, running, waiting, bulk }: Facts): Values {
  return {
    '/console/messages/:id': [dead, delivered, event, running, waiting],
    '/console/queues/:name': ['email', 'crm', 'invoices'],
    '/console/cron/:name': ['sum-day'],
    '/admin/cron/{name}': ['sum-day'],
    '/admin/queues/{name}': ['crm'],
    '/admin/outbox/{id}': [delivered],
    '/console/bulk/:id': [bulk],
    '/admin/bulk/{id}': [bulk],
  };
}

const daysAgo = (days: number): string => new Date(Date.now() - days * 86_400_000).toISOString();

/** What stands behind the `?` of a page, besides nothing. */
function queriesOf({ dead, delivered }: Facts): Values {
  return {
    '/console/messages': [
      ...['pending', 'sending', 'failed', 'dead', 'cancelled', 'delivered'].map((name) => `status=${name}`),
      'q=status%3Adead+queue%3Acrm',
    ],
    '/console/cron/:name/backfill': [`from=${daysAgo(3)}&to=${daysAgo(1)}`],
    '/console/messages/selected': [`act=retry&id=${dead}&id=${delivered}`],
    '/console/failures': ['window=1h', 'window=7d'],
    '/console/audit': ['act=queue.pause', 'by=ann', `target=${dead}`],
    '/admin/outbox/count': ['queue=email', 'tag=shop:1', 'status=delivered'],
    '/admin/outbox/groups': ['error', 'name', 'cause', 'tag', 'group'].flatMap((by) => [
      `by=${by}`,
      `by=${by}&window=7d`,
    ]),
    '/admin/series': ['window=24h'],
  };
}

/** One value for each token; for some also one that many messages have, and one that none has. */
function tokenValues({ delivered, event, trace, request }: Facts, order: number): Values {
  const customer = (order * 7919) % 50_000;
  return {
    to: [`c${customer}@customers.example`, 'nobody@customers.example'],
    key: [`receipt-${order}`, 'receipt-none'],
    prefix: [
      `receipt-${String(order).slice(0, -2)}`,
      `receipt-${String(order).slice(0, -1)}`,
      'receipt-',
      'none-',
    ],
    tag: [`order:${order}`, `customer:${customer}`, 'campaign:autumn', 'shop:1', 'order:none'],
    group: ['tenant-17', 'mailing', 'none'],
    request: [request, 'none'],
    trace: [trace, '0af7651916cd43dd8448eb211c80319c'],
    parent: [event, delivered],
    name: ['make-invoice', 'none'],
    kind: ['listener'],
    queue: ['crm', 'none'],
    status: ['dead', 'delivered'],
    error: ['ECONNREFUSED', 'no such words'],
    cause: ['exhausted', 'expired'],
    outcome: ['ambiguous'],
    since: ['1h', '7d'],
    until: ['1h', '6d'],
    order: ['sku-17', 'none'],
    worker: ['shop-1:4711:a1b2c3', 'none'],
    died: ['2h'],
    payload: ['customer.id=none'],
    'payload.customer.id': [String(customer)],
  };
}

/** Parameters without which a route of the admin API refuses. */
const needed: Values = {
  '/console/cron/:name/backfill': [],
  '/admin/outbox/groups': [],
  '/admin/series': ['window=1h'],
};

/** @param routes the paths of the admin API that are read, as `/admin/outbox/{id}` */
export function casesOf(routes: readonly string[], its: Facts, order: number): Case[] {
  const missing: string[] = [];
  const paths = [...pages.map(({ path }) => path), ...routes];
  const asked = paths.flatMap((path) => {
    const known = pathValues(its);
    const parameter = /:\w+|\{\w+\}/.exec(path)?.[0];
    const values = known[path] ?? Object.entries(known).find(([base]) => path.startsWith(`${base}/`))?.[1];
    if (parameter !== undefined && values === undefined) missing.push(path);
    const filled =
      parameter === undefined
        ? [path]
        : (values ?? []).map((value) => path.replace(parameter, encodeURIComponent(value)));
    const queries = queriesOf(its)[path] ?? [];
    const bare = needed[path] ?? (path === '/console/messages/selected' ? [] : ['']);
    return filled.flatMap((url) =>
      [...bare, ...queries].map((query) => (query === '' ? url : `${url}?${query}`)),
    );
  });
  const searched = tokenValues(its, order);
  for (const token of Object.keys(tokens)) if (!(token in searched)) missing.push(`the token ${token}:`);
  const searches = Object.entries(searched).flatMap(([token, values]) =>
    values.map((value) => ({
      name: `${token}:${value}`,
      url: `/console/messages?q=${encodeURIComponent(`${token}:"${value}"`)}`,
    })),
  );
  if (missing.length > 0) throw new Error(`bench/console-cases.ts has no values for ${missing.join(', ')}`);
  return [...asked.map((url) => ({ name: url, url })), ...searches];
}
