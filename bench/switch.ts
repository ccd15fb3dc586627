// Preloaded into a process under measurement: its metrics can be switched off and on again from outside, also in the middle of a drain.

import { registerHooks } from 'node:module';
import perf from 'node:perf_hooks';

type Part = (on: boolean) => void;

/** What follows the switch: `switched.ts` adds the metrics. */
export const parts: Part[] = [];
/** Attempts that ended, whether the metrics counted them or not. */
export const ended = { attempts: 0 };

const self = new URL('switched.ts', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith('/metrics/catalogue.ts') && context.parentURL !== self
      ? { url: self, format: 'module', shortCircuit: true }
      : next(specifier, context),
});

// The default metrics of prom-client: its observer of garbage collections and its measurement of the event loop's delay.
const { PerformanceObserver, monitorEventLoopDelay } = perf;
perf.PerformanceObserver = class extends PerformanceObserver {
  override observe(options: { readonly entryTypes: readonly perf.EntryType[] }): void {
    super.observe(options);
    parts.push((on) => (on ? super.observe(options) : this.disconnect()));
  }
};
perf.monitorEventLoopDelay = (options) => {
  const histogram = monitorEventLoopDelay(options);
  parts.push((on) => void (on ? histogram.enable() : histogram.disable()));
  return histogram;
};

export type Snapshot = {
  readonly attempts: number;
  readonly ms: number;
  readonly cpuUs: number;
};

process.on('message', ({ id, value }: { id: number; value: boolean }) => {
  const { user, system } = process.cpuUsage();
  const answer: Snapshot = { ...ended, ms: performance.now(), cpuUs: user + system };
  for (const part of parts) part(value);
  process.send!({ id, answer });
});
