// The role *web*: actions over HTTP, the admin API, health and the fleet's metrics.

import { createActionRunner } from '../action/run.ts';
import { manifestOf } from '../cron/manifest.ts';
import { withManifest } from '../cron/service.ts';
import { loadApp } from '../define/load.ts';
import { createRegistry } from '../define/registry.ts';
import { drainOutbox } from '../drain/drain.ts';
import { createOutboxDrainRoute } from '../http/drain.ts';
import { createFront } from '../http/front.ts';
import { webService } from '../http/service.ts';
import { createEvents } from '../metrics/events.ts';
import { publishInitial } from '../metrics/initial.ts';
import { WaybillError } from '../errors.ts';
import { claimProbes } from '../outbox/batch.ts';
import { createNotify } from '../outbox/notify.ts';
import { withAdvice } from '../scale/service.ts';
import { createQueueCloser } from '../worker/queue-closer.ts';
import { configuredDrain } from './drain.ts';
import { labelsOf } from './labels.ts';
import { closing, outboxOf, type Role } from './role.ts';

export const webRole: Role = async (host, common) => {
  const { db, log, config } = host;
  const app = await loadApp(config.app, config.database);
  publishInitial(host.metrics, labelsOf(app, config.emailProviders));
  const registry = createRegistry(app);
  const notify = createNotify(db, (error) => log.warn({ err: error }, 'a NOTIFY was not sent; workers poll'));
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
    notify,
    outboxOn: outboxOf(config),
    emailFrom: config.emailFrom,
    database: config.database,
  });
  const draining = configuredDrain(app, { config, db, log, handlers: host.handlers, workerId: host.id });
  const closer = createQueueCloser({ ...host, workerId: host.id, outboxOn: outboxOf(config) });
  const drain = createOutboxDrainRoute(
    {
      ...draining.options,
      secret: config.cronSecret,
      onError: (error) => log.error({ err: error }, 'the drain failed'),
    },
    (options) => {
      // Each log line of these deliveries names the call that drained, beside the request that recorded the message.
      const called = log.child({ drainRequestId: options.requestId, drainTraceId: options.traceId });
      const events = createEvents(called, host.metrics);
      return drainOutbox(options, {
        events,
        closer,
        ...draining.process,
        claimProbes: () => claimProbes(db, draining.queues, { leaseMs: config.leaseMs, workerId: host.id }),
      });
    },
  );
  if (config.databases.length > 0) common.front ??= createFront(host.all, app);
  const service = webService(host, { registry, runner, notify, drain, giveUp }, common.front);
  const whole = withAdvice(host, closing(service, draining.close));
  return { life: app, service: withManifest(host, manifestOf(app), false, whole) };
};
