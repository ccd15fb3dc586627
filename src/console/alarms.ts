// What may be wrong, each named after its alert in prometheus/alerts.yml and in the order of that file, with what to do about it.

import { rolesIn } from '../config/connections.ts';
import { forgottenAfterSeconds } from '../db/liveness.ts';
import type { Stats } from '../operate/stats.ts';
import type { Troubles } from '../operate/troubles.ts';
import type { ProcessSeen } from '../process/heartbeat.ts';
import type { QueueView } from '../queues/queues.ts';
import type { QueueAdvice } from '../scale/decisions.ts';
import { duration, number, plural, relative, shown, type Tone } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { queuePath } from './queue-table.ts';

export type Facts = {
  readonly stats: Stats;
  readonly queues: readonly QueueView[];
  readonly processes: readonly ProcessSeen[];
  readonly advice: readonly QueueAdvice[];
  readonly troubles: Troubles;
  /** Messages that were recorded and delivered in the last half hour; null: not known. */
  readonly halfHour: { readonly recorded: number; readonly delivered: number } | null;
  /** Milliseconds of the epoch. */
  readonly now: number;
};

export type Sentence = { readonly tone: Tone; readonly headline: string; readonly more: Markup };

type Check = (facts: Facts) => Sentence | null;

const rolesOf = ({ role }: ProcessSeen): readonly string[] => rolesIn(role);

const queueLink = (name: string): Markup => markup`<a href="${queuePath(name)}">The queue</a>`;

const missing: Check = ({ processes, stats }) => {
  const alive = processes.filter(({ state }) => state === 'alive');
  const isServed = (roles: readonly string[]): boolean =>
    alive.some((process) => rolesOf(process).some((role) => roles.includes(role)));
  const waiting = stats.byStatus.pending + stats.byStatus.failed;
  const more = markup`${plural(waiting, 'message waits', 'messages wait')}; none is lost. Start the process: <code>waybill run</code>.`;
  if (!isServed(['relay'])) return { tone: 'bad', headline: 'No relay is alive.', more };
  if (!isServed(['email', 'jobs'])) return { tone: 'bad', headline: 'No worker is alive.', more };
  return null;
};

const stalled: Check = ({ processes }) => {
  const silent = processes.filter(
    ({ state, heartbeatAgeSeconds }) => state !== 'alive' && heartbeatAgeSeconds < forgottenAfterSeconds,
  );
  const hanging = processes.filter((one) => one.state === 'alive' && one.stalled.length > 0);
  const [first] = [...silent, ...hanging];
  if (first === undefined) return null;
  const what =
    first.state === 'alive'
      ? `A process stands still: ${first.role}, in ${first.stalled.join(' and ')}.`
      : `A process is silent: ${first.role}, for ${duration(first.heartbeatAgeSeconds)}.`;
  const count = silent.length + hanging.length;
  return {
    tone: 'warn',
    headline: count === 1 ? what : `${number(count)} processes stand still.`,
    more: markup`What it had claimed is due again when its leases end. <a href="/console/fleet">The fleet</a>`,
  };
};

const parked: Check = ({ queues }) => {
  const [queue] = queues.filter(({ state, also }) => state === 'parked' || also.includes('parked'));
  if (queue === undefined) return null;
  const probe = queue.probe ? markup` The next probe is ${relative(queue.probe.nextAt)}.` : null;
  return {
    tone: 'bad',
    headline: `The queue ${queue.name} is parked.`,
    more: markup`${shown(queue.reason ?? '')}. ${plural(queue.waiting, 'message waits', 'messages wait')}, none is lost.${probe} ${queueLink(queue.name)}`,
  };
};

const providerParked: Check = ({ queues }) => {
  const queue = queues.find(({ providers }) => providers.some(({ state }) => state === 'parked'));
  const provider = queue?.providers.find(({ state }) => state === 'parked');
  if (queue === undefined || provider === undefined) return null;
  const open = queue.providers.find(({ state }) => state === 'open');
  const way = open === undefined ? 'No other is open.' : `Mails go by ${open.name}.`;
  const its =
    provider.waiting === 0
      ? null
      : markup` ${plural(provider.waiting, 'message waits', 'messages wait')} for it, because an earlier attempt may have arrived there.`;
  return {
    tone: 'warn',
    headline: `The email provider ${provider.name} is parked.`,
    more: markup`${shown(provider.reason ?? '')}. ${way}${its} ${queueLink(queue.name)}`,
  };
};

/** A due message older than this is late. */
const lateSeconds = 300;

const late: Check = ({ stats, queues }) => {
  const open = queues.filter(({ state }) => state === 'open');
  const ages = open.map(({ name }) => [name, stats.oldestDueSecondsByQueue[name] ?? 0] as const);
  const [worst] = ages.toSorted(([, a], [, b]) => b - a);
  if (worst === undefined || worst[1] < lateSeconds) return null;
  return {
    tone: 'warn',
    headline: `The queue ${worst[0]} is ${duration(worst[1])} behind.`,
    more: markup`Its oldest due message has waited that long. ${queueLink(worst[0])}`,
  };
};

const nothing: Check = ({ halfHour, queues }) => {
  const isOpen = queues.every(({ state }) => state === 'open');
  const ready = queues.reduce((sum, queue) => sum + queue.ready, 0);
  if (halfHour === null || !isOpen || ready === 0) return null;
  if (halfHour.recorded === 0 || halfHour.delivered > 0) return null;
  return {
    tone: 'bad',
    headline: 'Nothing was delivered for half an hour.',
    more: markup`${plural(halfHour.recorded, 'message was', 'messages were')} recorded meanwhile. <a href="/console/failures?window=1h">Failures</a>`,
  };
};

const overdueSeconds = 120;

const overdue: Check = ({ troubles }) => {
  const due = troubles.overdue.filter(({ seconds }) => seconds > overdueSeconds);
  const [first] = due;
  if (first === undefined) return null;
  return {
    tone: 'warn',
    headline: `The cron job ${first.name} is overdue by ${duration(first.seconds)}.`,
    more: markup`${due.length > 1 ? `${plural(due.length - 1, 'other')} too. ` : ''}<a href="/console/cron">Cron</a>`,
  };
};

const dying: Check = ({ troubles: { deadLately } }) =>
  deadLately === 0
    ? null
    : {
        tone: 'warn',
        headline: `${plural(deadLately, 'message')} died in the last 15 minutes.`,
        more: markup`They are not retried any more: mend the cause, then retry them. <a href="/console/failures?window=1h">Failures</a>`,
      };

/** A message that runs for longer than this, and than twenty means, hangs. Seconds. */
const longSeconds = 600;
const means = 20;

const long: Check = ({ troubles, advice }) => {
  const meanOf = new Map(advice.map(({ queue, meanSeconds }) => [queue, meanSeconds]));
  const [first] = troubles.running.filter(
    ({ queue, seconds }) => seconds > Math.max(longSeconds, means * (meanOf.get(queue) ?? 0)),
  );
  if (first === undefined) return null;
  return {
    tone: 'warn',
    headline: `A message of the queue ${first.queue} has been running for ${duration(first.seconds)}.`,
    more: markup`A handler hangs, or waits for something without a timeout. <a href="/console/running">What runs</a>`,
  };
};

const blocked: Check = ({ troubles: { blocked: all } }) => {
  const [first] = all;
  if (first === undefined) return null;
  const keys = all.reduce((sum, one) => sum + one.keys, 0);
  return {
    tone: 'warn',
    headline: `Dead messages block ${plural(keys, 'order key')}.`,
    more: markup`The messages behind them wait for a person: retry or cancel the dead ones, or unblock the keys. ${queueLink(first.queue)}`,
  };
};

/** Vacuum cannot clean up behind an older transaction. Seconds. */
const oldSeconds = 900;

const oldTransaction: Check = ({ troubles: { oldestTransactionSeconds: seconds } }) =>
  seconds < oldSeconds
    ? null
    : {
        tone: 'warn',
        headline: `A transaction has been open for ${duration(seconds)}.`,
        more: markup`Vacuum cannot clean up behind it, and claiming becomes slower. <a href="/console/fleet">Who it is</a>`,
      };

const closed: Check = ({ queues }) => {
  const found = queues.filter(({ state }) => state === 'held' || state === 'paused');
  const [first] = found;
  if (first === undefined) return null;
  const until = first.until ? markup`; it ends ${relative(first.until)}` : null;
  return {
    tone: 'warn',
    headline:
      found.length === 1
        ? `The queue ${first.name} is ${first.state}.`
        : `${number(found.length)} queues are closed.`,
    more: markup`${shown(first.reason ?? 'No reason is given')}${first.by ? markup`, by ${shown(first.by, 60)}` : null}${until}. ${plural(first.waiting, 'message waits', 'messages wait')}.`,
  };
};

/** Versions run side by side during a deploy. Milliseconds. */
const deployMs = 6 * 3_600_000;

const mixed: Check = ({ processes, now }) => {
  const alive = processes.filter(({ state }) => state === 'alive');
  const versions = new Set(alive.map(({ application, version }) => application ?? version));
  const starts = alive.map(({ startedAt }) => (startedAt instanceof Date ? startedAt.getTime() : now));
  if (versions.size < 2 || Math.max(...starts) > now - deployMs) return null;
  return {
    tone: 'warn',
    headline: `${number(versions.size)} versions run side by side.`,
    more: markup`A deploy did not reach all processes. <a href="/console/fleet">The fleet</a>`,
  };
};

export const alarms: readonly { readonly alert: string; readonly check: Check }[] = [
  { alert: 'WaybillProcessesMissing', check: missing },
  { alert: 'WaybillProcessStalled', check: stalled },
  { alert: 'WaybillQueueParked', check: parked },
  { alert: 'WaybillOldestDue', check: late },
  { alert: 'WaybillNothingDelivered', check: nothing },
  { alert: 'WaybillCronOverdue', check: overdue },
  { alert: 'WaybillEmailProviderParked', check: providerParked },
  { alert: 'WaybillDeadLettersRising', check: dying },
  { alert: 'WaybillRunningLong', check: long },
  { alert: 'WaybillOrderKeysBlocked', check: blocked },
  { alert: 'WaybillOldTransaction', check: oldTransaction },
  { alert: 'WaybillQueueForgotten', check: closed },
  { alert: 'WaybillVersionsMixed', check: mixed },
];
