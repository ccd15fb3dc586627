// The catalogue of metrics with a switch: switched off, nothing is counted and nothing flushed.

import { createMetrics as create, type Metrics } from '../src/metrics/catalogue.ts';
import { ended, parts } from './switch.ts';

type Method = (...given: number[]) => void;

const nothing: Method = () => undefined;

export function createMetrics(about: { readonly version: string }): Metrics {
  const metrics = create(about);
  const { counted } = metrics;
  const switched = { ...metrics, counted };
  parts.push((on) => (switched.counted = on ? counted : []));
  for (const metric of counted)
    if ('series' in metric) followSeries(metric);
    else follow(metric, 'inc' in metric ? 'inc' : 'observe');
  return switched;
}

function followSeries(tally: Metrics['deliveries'] | Metrics['relayLag']): void {
  const { name, series } = tally;
  const off: Method = name === 'waybill_deliveries_total' ? () => void (ended.attempts += 1) : nothing;
  const met = new Set<object>();
  tally.series = (labels: never) => {
    const its = series(labels);
    if (!met.has(its)) follow(its, 'add', off);
    met.add(its);
    return its;
  };
}

/** @param off what its method does while it is switched off, and beside its work while it is on */
function follow(thing: object, name: string, off = nothing): void {
  const does = Reflect.get(thing, name) as Method;
  const both: Method = (by) => {
    off();
    does(by!);
  };
  parts.push((on) => void Reflect.set(thing, name, on ? (off === nothing ? does : both) : off));
}
