// The sentence at the top of Now: the worst thing first, in the order of the alerts, or that all is well.

import type { JobView } from '../cron/overview.ts';
import type { Stats } from '../operate/stats.ts';
import type { ProcessSeen } from '../process/heartbeat.ts';
import type { QueueView } from '../queues/queues.ts';
import { duration, number, plural, relative, shown, type Tone } from './figures.ts';
import { markup, type Markup } from './markup.ts';

export type Facts = {
  readonly stats: Stats;
  readonly queues: readonly QueueView[];
  readonly processes: readonly ProcessSeen[];
  readonly jobs: readonly JobView[];
};

export type Sentence = { readonly tone: Tone; readonly headline: string; readonly more: Markup };

/** A due message older than this is late. */
const lateSeconds = 300;
const overdueSeconds = 120;

export function sentenceOf(facts: Facts): Sentence {
  const said = checks.map((check) => check(facts)).filter((one) => one !== null);
  const [first, ...others] = said;
  if (first === undefined) return well(facts);
  if (others.length === 0) return first;
  const rest = others.map(({ headline }) => markup`<br />${headline}`);
  return { ...first, more: markup`${first.more}${rest}` };
}

function well({ stats, processes }: Facts): Sentence {
  const { delivered, sending } = stats.byStatus;
  return {
    tone: 'good',
    headline: 'All is well.',
    more: markup`${plural(processes.length, 'process', 'processes')} alive, ${number(sending)} running, ${number(delivered)} delivered messages kept.`,
  };
}

type Check = (facts: Facts) => Sentence | null;

const rolesOf = ({ role }: ProcessSeen): readonly string[] =>
  role === 'all' ? ['web', 'relay', 'email', 'jobs', 'scheduler'] : role.split('+');

const noProcess: Check = ({ processes, stats }) => {
  const alive = processes.filter(({ state }) => state === 'alive');
  const isServed = (roles: readonly string[]): boolean =>
    alive.some((process) => rolesOf(process).some((role) => roles.includes(role)));
  const waiting = stats.byStatus.pending + stats.byStatus.failed;
  const text = markup`${plural(waiting, 'message waits', 'messages wait')}; none is lost. Start the process: <code>waybill run</code>.`;
  if (!isServed(['relay'])) return { tone: 'bad', headline: 'No relay is alive.', more: text };
  if (!isServed(['email', 'jobs'])) return { tone: 'bad', headline: 'No worker is alive.', more: text };
  return null;
};

const parked: Check = ({ queues }) => {
  const [queue] = queues.filter(({ state, also }) => state === 'parked' || also.includes('parked'));
  if (queue === undefined) return null;
  const probe = queue.probe ? markup` The next probe is ${relative(queue.probe.nextAt)}.` : null;
  return {
    tone: 'warn',
    headline: `The queue ${queue.name} is parked.`,
    more: markup`${shown(queue.reason ?? '')}, since ${relative(queue.since)}. ${plural(queue.waiting, 'message waits', 'messages wait')}, none is lost.${probe} <a href="/console/queues/${encodeURIComponent(queue.name)}">The queue</a>`,
  };
};

const silent: Check = ({ processes }) => {
  const still = processes.filter(({ state }) => state !== 'alive');
  const [first] = still;
  if (first === undefined) return null;
  return {
    tone: 'warn',
    headline:
      still.length === 1
        ? `A process is silent: ${first.role}, for ${duration(first.heartbeatAgeSeconds)}.`
        : `${number(still.length)} processes are silent.`,
    more: markup`What it had claimed is due again when its leases end. <a href="/console/fleet">The fleet</a>`,
  };
};

const late: Check = ({ stats, queues }) => {
  const open = queues.filter(({ state }) => state === 'open');
  const ages = open.map(({ name }) => [name, stats.oldestDueSecondsByQueue[name] ?? 0] as const);
  const [worst] = ages.toSorted(([, a], [, b]) => b - a);
  if (worst === undefined || worst[1] < lateSeconds) return null;
  return {
    tone: 'warn',
    headline: `The queue ${worst[0]} is ${duration(worst[1])} behind.`,
    more: markup`Its oldest due message has waited that long. <a href="/console/queues/${encodeURIComponent(worst[0])}">The queue</a>`,
  };
};

const cron: Check = ({ jobs }) => {
  const due = jobs.filter((job) => (job.overdueSeconds ?? 0) > overdueSeconds);
  const [first] = due;
  if (first === undefined) return null;
  return {
    tone: 'warn',
    headline: `The cron job ${first.name} is overdue by ${duration(first.overdueSeconds ?? 0)}.`,
    more: markup`${due.length > 1 ? `${plural(due.length - 1, 'other')} too. ` : ''}<a href="/console/cron">Cron</a>`,
  };
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

const checks: readonly Check[] = [noProcess, parked, silent, late, cron, closed];
