// The role *relay*: announces due messages in the queue, sweeps, prunes, and sends notices to operators.

import { publishInitial } from '../metrics/initial.ts';
import { createNotify } from '../outbox/notify.ts';
import { runLoop } from '../process/loop.ts';
import type { Host } from '../process/host.ts';
import { relayService } from '../relay/service.ts';
import { withAdvice } from '../scale/service.ts';
import { standardLabels } from './labels.ts';
import { outboxOf, queueOf, type Role } from './role.ts';

/** The relay neither loads the application nor runs its code, so there is nothing to set up. */
export const relayRole: Role = async (host) => {
  publishInitial(host.metrics, standardLabels);
  const queue = queueOf(host);
  await queue.install();
  const service = withAdvice(host, relayService(host, queue));
  if (host.config.notice === null) return { service };
  const run = async (signal: AbortSignal): Promise<void> =>
    void (await Promise.all([service.run(signal), watch(host, signal)]));
  return { service: { ...service, run } };
};

async function watch(host: Host, signal: AbortSignal): Promise<void> {
  const { createWatch } = await import('../notice/watch.ts');
  const { config, db, events, observe, progress, log } = host;
  const notify = createNotify(db, (error) => log.warn({ err: error }, 'a NOTIFY was not sent; workers poll'));
  const step = createWatch({ db, outboxOn: outboxOf(config), notify });
  return runLoop({ name: 'notices', step }, { signal, onError: events.loopFailed, observe, progress });
}
