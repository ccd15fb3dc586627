// The role *relay*: due messages into the queue, the sweep, the pruning, and the watch for what operators are told.

import { publishZeroes } from '../metrics/zeroes.ts';
import { createNudge } from '../outbox/nudge.ts';
import { runLoop } from '../process/loop.ts';
import type { Host } from '../process/host.ts';
import { relayPart } from '../relay/part.ts';
import { withAdvice } from '../scale/part.ts';
import { standardLabels } from './labels.ts';
import { outboxOf, queueOf, type Role } from './role.ts';

/** It neither loads the application nor runs code of it, so there is nothing to set up. */
export const relayRole: Role = async (host) => {
  publishZeroes(host.metrics, standardLabels);
  const queue = queueOf(host);
  await queue.install();
  const part = withAdvice(host, relayPart(host, queue));
  if (host.config.notice === null) return { part };
  const run = async (signal: AbortSignal): Promise<void> =>
    void (await Promise.all([part.run(signal), watch(host, signal)]));
  return { part: { ...part, run } };
};

async function watch(host: Host, signal: AbortSignal): Promise<void> {
  const { createWatch } = await import('../notice/watch.ts');
  const { config, db, events, observe, progress, log } = host;
  const nudge = createNudge(db, (error) => log.warn({ err: error }, 'a nudge was not sent; the relay polls'));
  const step = createWatch({ db, outboxOn: outboxOf(config), nudge });
  return runLoop({ name: 'notices', step }, { signal, onError: events.loopFailed, observe, progress });
}
