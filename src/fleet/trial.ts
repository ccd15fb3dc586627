// The trial of the email path: one real mail is recorded, delivered and settled like any other, and the provider's answer is read. The fleet
// delivers it; if no relay and email worker run, this process does.

import { rolesIn } from '../config/connections.ts';
import type { Database } from '../db/pool.ts';
import type { App } from '../define/app.ts';
import { emailMessage, emailQueue } from '../define/messages.ts';
import { drainOutbox } from '../drain/drain.ts';
import { WaybillError } from '../errors.ts';
import { createNotify } from '../outbox/notify.ts';
import { cancelMessage } from '../operate/operate.ts';
import { showMessage, type WholeMessage } from '../operate/read.ts';
import { closedQueues, waitLine } from '../queues/waits.ts';
import type { Milliseconds } from '../ports.ts';
import { fleet } from '../process/heartbeat.ts';
import type { Host } from '../process/host.ts';
import { during } from '../process/life.ts';
import { configuredDrain } from './drain.ts';
import { outboxOf } from './role.ts';

export type Trial = {
  readonly id: string;
  readonly by: 'fleet' | 'this process';
  readonly sent: boolean;
  /** The provider's answer, or why the mail was not sent. */
  readonly answer: string;
  readonly seconds: number;
};

export type TrialPorts = Pick<Host, 'config' | 'db' | 'log' | 'clock'> & {
  readonly app: App;
  readonly pause: (ms: Milliseconds) => Promise<void>;
  readonly timeoutMs: Milliseconds;
};

/**
 * @throws WaybillError for an invalid address, `from_required`, `queue_closed` (with the reason), `email_not_worked` (no process may send it),
 * `email_test_timeout`
 */
export async function tryEmail(to: string, ports: TrialPorts): Promise<Trial> {
  const { config, app, db, clock } = ports;
  await refuseClosed(db);
  const by = await whoDelivers(db);
  if (by === 'this process' && config.emailRate !== null)
    throw new WaybillError(
      'email_not_worked',
      'no relay and email worker run, and with WAYBILL_EMAIL_RATE only workers send: start them and try again',
    );
  const { maxAttempts } = app.email.retry;
  const message = emailMessage({ to, ...content, priority: 1000 }, { from: config.emailFrom, maxAttempts });
  const started = clock.now();
  const { id } = await outboxOf(config)(db).enqueue(message);
  if (by === 'fleet')
    createNotify(db, () => undefined)(); // the relay polls too
  else await deliverHere(id, ports);
  const ended = await firstEnd(id, ports);
  if (ended.status === 'pending' || ended.status === 'failed')
    await cancelMessage(db, id).catch(() => undefined); // it is claimed again
  return { id, by, ...answerOf(ended), seconds: (clock.now() - started) / 1000 };
}

/** Nothing would be sent, and the reason is known. */
async function refuseClosed(db: Database): Promise<void> {
  const wait = (await closedQueues(db)).find(({ queue }) => queue === emailQueue);
  if (wait === undefined) return;
  const next = {
    paused: '`waybill queues resume email` opens it',
    parked:
      '`waybill doctor` looks for the cause; when it is mended, `waybill queues resume email` opens it at once',
    held: 'it opens by itself, or with `waybill queues resume email`',
  }[wait.state];
  throw new WaybillError('queue_closed', `nothing was sent: ${waitLine(wait)}: ${next}`);
}

const content = {
  subject: 'A test of Waybill',
  text: 'This mail took the path of every other: recorded, relayed, claimed, delivered, settled.\n',
};

/** A combined process may be the relay and the worker. */
export async function whoDelivers(db: Database): Promise<Trial['by']> {
  const alive = (await fleet(db)).filter(({ state }) => state === 'alive');
  const relays = alive.some(({ role }) => rolesIn(role).includes('relay'));
  return relays && alive.some(({ queues }) => queues.includes(emailQueue)) ? 'fleet' : 'this process';
}

/** A drain that claims this message and no other. */
async function deliverHere(id: string, { config, app, db, log }: TrialPorts): Promise<void> {
  const {
    options,
    process: around,
    close,
  } = configuredDrain(app, {
    config,
    db,
    handlers: db,
    log,
    workerId: `test:${process.pid}`,
  });
  const { outbox } = options;
  const only: typeof outbox = {
    ...outbox,
    claimBatch: (request) => outbox.claimBatch({ ...request, ids: [id] }),
  };
  try {
    await during(app, log, () => drainOutbox({ ...options, outbox: only, batchSize: 1 }, around));
  } finally {
    await close();
  }
}

async function firstEnd(id: string, { db, clock, pause, timeoutMs }: TrialPorts): Promise<WholeMessage> {
  const deadline = clock.now() + timeoutMs;
  for (;;) {
    const message = await showMessage(db, id);
    if (message.attempts.length > 0 || message.status === 'dead') return message;
    if (message.waitsFor?.state === 'parked' || message.waitsFor?.state === 'paused') {
      await cancelMessage(db, id).catch(() => undefined); // it is claimed at the moment
      await refuseClosed(db);
    }
    if (clock.now() > deadline) {
      await cancelMessage(db, id).catch(() => undefined); // it is claimed at the moment
      throw new WaybillError(
        'email_test_timeout',
        `nobody delivered the message ${id} within ${timeoutMs / 1000} s: look at \`waybill queues list\` and \`waybill fleet\``,
      );
    }
    await pause(200);
  }
}

function answerOf({ status, notes, attempts, lastError }: WholeMessage): Pick<Trial, 'sent' | 'answer'> {
  const [first] = notes;
  if (status !== 'delivered') return { sent: false, answer: attempts.at(-1)?.error ?? lastError ?? status };
  const answer = first ? [first.detail, first.reference].filter(Boolean).join(' ') : '';
  return {
    sent: first?.type === 'accepted',
    answer: first?.type === 'accepted' ? answer : `${first?.type}: ${answer}`,
  };
}
