// `waybill outbox drain`: delivers due messages from this process, without a relay, a queue or workers. It may run beside them.

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Command } from 'commander';
import { openDatabase } from '../../db/pool.ts';
import { loadApp } from '../../define/load.ts';
import { drainOutbox } from '../../drain/drain.ts';
import type { DrainReport } from '../../drain/report.ts';
import { configuredDrain } from '../../fleet/drain.ts';
import { outboxOf } from '../../fleet/role.ts';
import { claimProbes } from '../../outbox/batch.ts';
import { createMetrics } from '../../metrics/catalogue.ts';
import { createEvents } from '../../metrics/events.ts';
import { createFleetFigures } from '../../metrics/fleet.ts';
import { createLog } from '../../metrics/log.ts';
import { systemClock, version } from '../../process/host.ts';
import { during } from '../../process/life.ts';
import { createQueueCloser } from '../../worker/queue-closer.ts';
import { UsageError } from '../exit.ts';
import { interrupted } from '../interruption.ts';
import { single } from '../options.ts';
import { print, say, type Output } from '../print.ts';
import { withDatabase, type Session } from '../session.ts';

type Options = Output & { readonly batchSize?: string; readonly untilEmpty?: boolean };

export function addOutboxDrain(outbox: Command): void {
  outbox
    .command('drain')
    .description('deliver what is due from here, without relay and workers')
    .option('--batch-size <count>', 'messages of one batch, 1 to 10000 (default: 100)', single)
    .option('--until-empty', 'batch after batch, until nothing is due')
    .action(drain);
}

async function drain(options: Options): Promise<void> {
  const batchSize = batchSizeOf(options.batchSize);
  const report = await withDatabase((session) => drainSession(session, batchSize, options));
  print(report, options, ({ claimed, delivered, retried, dead, released }) => [
    `${claimed} claimed: ${delivered} delivered, ${retried} will be retried, ${dead} dead, ${released} released`,
  ]);
}

function batchSizeOf(text = '100'): number {
  const size = Number(text);
  if (/^[0-9]{1,6}$/.test(text) && size >= 1 && size <= 10_000) return size;
  throw new UsageError('invalid_batch_size', '--batch-size must be a whole number from 1 to 10000');
}

async function drainSession({ config, db }: Session, batchSize: number, options: Options) {
  const app = await loadApp(config.app);
  const log = createLog({ level: config.logLevel, role: 'drain', destination: 2 });
  const workerId = `${hostname()}:${process.pid}:${randomBytes(3).toString('hex')}`;
  const onIdleError = (error: Error): void => say(`a connection to the database broke: ${error.message}`);
  const { databaseUrl: url, concurrency } = config;
  const handlers = openDatabase({
    url,
    onIdleError,
    applicationName: 'waybill drain',
    max: Math.min(concurrency, 10),
    statementTimeoutMs: 60_000,
  });
  const { signal, stop } = interrupted(); // running messages are released
  const metrics = createMetrics({ version: version() });
  const figures = createFleetFigures(db, metrics, systemClock);
  const events = createEvents(log, metrics);
  const closer = createQueueCloser({ db, events, workerId, outboxOn: outboxOf(config) });
  const draining = configuredDrain(app, { config, db, handlers, log, workerId });
  try {
    const batched = ({ claimed }: DrainReport): void => say(`${claimed} so far`);
    return await during(app, log, () =>
      drainOutbox(
        { ...draining.options, batchSize, untilEmpty: options.untilEmpty, signal },
        {
          events,
          closer,
          ...draining.process,
          claimProbes: () => claimProbes(db, draining.queues, { leaseMs: config.leaseMs, workerId }),
          ...(!options.json && { batched }),
        },
      ),
    );
  } finally {
    stop();
    await figures
      .flush()
      .catch((error: Error) => say(`its figures could not be added to the fleet's: ${error.message}`));
    await draining.close();
    await handlers.end();
  }
}
