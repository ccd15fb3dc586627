// The gauges of limits of queues: columns of the statement of all gauges, which has the queues in `names`.

const perSecondOf = (rate: string): string =>
  `(q.limits -> '${rate}' ->> 'limit')::float8 * 1000 / (q.limits -> '${rate}' ->> 'ms')::float8`;

const limitValues = [
  ['concurrency', `(q.limits ->> 'concurrency')::float8`],
  ['concurrency_per_process', `(q.limits ->> 'concurrencyPerProcess')::float8`],
  ['rate', perSecondOf('rate')],
  ['group_concurrency', `(q.limits ->> 'groupConcurrency')::float8`],
  ['group_rate', perSecondOf('groupRate')],
]
  .map(([name, value]) => `('${name}', ${value})`)
  .join(', ');

export const limitColumns = `
    (select json_agg(json_build_object('labels', json_build_object('queue', q.name, 'limit', l.name), 'value', l.value) order by q.name, l.name)
       from waybill.queues q join names n using (name) cross join lateral (values ${limitValues}) l(name, value) where l.value is not null) as limits,
    (select json_agg(json_build_object('labels', json_build_object('queue', q.name, 'limit', l.name),
                                       'value', coalesce((q.limited_seconds ->> l.name)::numeric, 0)) order by q.name, l.name)
       from waybill.queues q join names n using (name) cross join lateral (values
              ('concurrency', q.limits -> 'concurrency'), ('rate', q.limits -> 'rate'), ('ramp', 'null'),
              ('group', coalesce(nullif(q.limits -> 'groupConcurrency', 'null'), q.limits -> 'groupRate'))) l(name, set)
      where l.set <> 'null' or q.limited_seconds ? l.name) as limited`;

export const limitFacts = [
  {
    key: 'limits',
    name: 'waybill_queue_limit',
    help: 'What limits the queue: concurrency, concurrency_per_process, group_concurrency; rate and group_rate a second',
    type: 'gauge',
    labels: ['queue', 'limit'],
  },
  {
    key: 'limited',
    name: 'waybill_queue_limited_seconds_total',
    help: 'How long due messages of the queue waited for its limit: concurrency, rate, group, or ramp after a reopening',
    type: 'counter',
    labels: ['queue', 'limit'],
  },
] as const;
