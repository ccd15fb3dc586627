// The role *web*: actions over HTTP, the admin API, health and the fleet's metrics.

import { createActionRunner } from '../action/run.ts';
import { manifestOf } from '../cron/manifest.ts';
import { withManifest } from '../cron/part.ts';
import { loadApp } from '../define/load.ts';
import { createRegistry } from '../define/registry.ts';
import { drainOutbox } from '../drain/drain.ts';
import { createOutboxDrainRoute } from '../http/drain.ts';
import { webPart } from '../http/part.ts';
import { createEvents } from '../metrics/events.ts';
import { publishZeroes } from '../metrics/zeroes.ts';
import { WaybillError } from '../outbox/errors.ts';
import type { Part } from '../process/run.ts';
import { claimProbes } from '../outbox/batch.ts';
import { createNudge } from '../outbox/nudge.ts';
import { withAdvice } from '../scale/part.ts';
import { createGatekeeper } from '../worker/gatekeeper.ts';
import { configuredDrain } from './drain.ts';
import { labelsOf } from './labels.ts';
import { outboxOf, type Role } from './role.ts';

export const webRole: Role = async (host) => {
  const { db, log, config } = host;
  const app = await loadApp(config.app);
  publishZeroes(host.metrics, labelsOf(app, config.emailProvider));
  const registry = createRegistry(app);
  const nudge = createNudge(db, (error) => log.warn({ err: error }, 'a nudge was not sent; the relay polls'));
  const ending = new AbortController();
  const giveUp = (): void =>
    ending.abort(
      new WaybillError('shutting_down', 'this process is shutting down: nothing of the call was kept'),
    );
  const runner = createActionRunner({
    signal: ending.signal,
    db: host.actions,
    registry,
    log,
    nudge,
    outboxOn: outboxOf(config),
    emailFrom: config.emailFrom,
  });
  const draining = configuredDrain(app, { config, db, log, handlers: host.handlers, workerId: host.id });
  const gatekeeper = createGatekeeper({ db, events: host.events, workerId: host.id });
  const drain = createOutboxDrainRoute(
    {
      ...draining.options,
      secret: config.cronSecret,
      onError: (error) => log.error({ err: error }, 'the drain failed'),
    },
    (options) => {
      // Each line of these deliveries names the call that drained, beside the request that recorded the message.
      const called = log.child({ drainRequestId: options.requestId, drainTraceId: options.traceId });
      const events = createEvents(called, host.metrics);
      return drainOutbox(options, {
        events,
        gatekeeper,
        claimProbes: () => claimProbes(db, draining.queues, { leaseMs: config.leaseMs, workerId: host.id }),
      });
    },
  );
  const part = webPart(host, { registry, runner, nudge, drain, giveUp });
  const whole: Part = {
    ...part,
    async run(signal) {
      await part.run(signal);
      await draining.close();
    },
  };
  return { life: app, part: withManifest(host, manifestOf(app), false, withAdvice(host, whole)) };
};
