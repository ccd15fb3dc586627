// The table of queues, with pause and resume: on the page Now and on the page of queues.

import type { Latency } from '../operate/latency.ts';
import type { Stats } from '../operate/stats.ts';
import { providerLines } from '../queues/providers.ts';
import type { QueueView } from '../queues/queues.ts';
import type { QueueAdvice } from '../scale/decisions.ts';
import { actForm, mayAct } from './act-form.ts';
import { duration, number, pill, relative, shown, type Tone } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

export type Queues = {
  readonly queues: readonly QueueView[];
  readonly stats: Stats;
  readonly advice: readonly QueueAdvice[];
  readonly latency: readonly Latency[];
  readonly session: Session;
};

const tones: Readonly<Record<QueueView['state'], Tone>> = {
  open: 'good',
  paused: 'warn',
  parked: 'warn',
  held: 'warn',
};

export const queuePath = (name: string): string => `/console/queues/${encodeURIComponent(name)}`;

export function queueState(queue: QueueView): Markup {
  const { state, reason, by, since, until, also, rate, providers } = queue;
  if (state === 'open') {
    const limited = rate === null ? null : markup`<small>limited to ${number(rate * 60)} a minute</small>`;
    const lines = providerLines(providers).map((line) => markup`<small>${shown(line, 240)}</small>`);
    return markup`${pill(lines.length > 0 ? 'warn' : 'good', 'open')}${limited}${lines}`;
  }
  const parts = [
    reason === null ? null : shown(reason, 160),
    by === null ? null : markup`by ${shown(by, 60)}`,
    since === null ? null : markup`since ${relative(since)}`,
    until === null ? null : markup`ends ${relative(until)}`,
    also.length === 0 ? null : markup`also ${also.join(', ')}`,
  ].filter((part) => part !== null);
  return markup`${pill(tones[state], state)}<small>${parts.map((part, i) => markup`${i > 0 ? ' · ' : ''}${part}`)}</small>`;
}

export function queueTable({ queues, stats, advice, latency, session }: Queues): Markup {
  const latencyOf = new Map(latency.map((one) => [one.queue, one]));
  const adviceOf = new Map(advice.map((one) => [one.queue, one]));
  const ageOf = (name: string): string => {
    const age = stats.oldestDueSecondsByQueue[name];
    return age === undefined ? '–' : duration(age);
  };
  return table(
    'Queues',
    queues,
    [
      {
        head: 'Queue',
        as: 'lead',
        cell: ({ name }) => markup`<a href="${queuePath(name)}"><code>${shown(name, 80)}</code></a>`,
      },
      { head: 'State', cell: queueState },
      { head: 'Waiting', as: 'n', cell: ({ waiting }) => number(waiting) },
      {
        head: 'Running',
        as: 'n',
        cell: ({ name, inFlight }) => {
          const { workers = 0, slotsPerWorker = 0 } = adviceOf.get(name) ?? {};
          return workers > 0 ? `${number(inFlight)} / ${number(workers * slotsPerWorker)}` : number(inFlight);
        },
      },
      { head: 'Oldest', as: 'n', cell: ({ name }) => ageOf(name) },
      { head: 'p95', as: 'n', cell: ({ name }) => p95Of(latencyOf.get(name)) },
      { head: 'Workers', as: 'n wide', cell: ({ name }) => workersOf(adviceOf.get(name)) },
      { head: '', as: 'tight', cell: (queue) => (mayAct(session) ? queueActs(session, queue) : null) },
    ],
    {
      empty: markup`No queue yet: the first message makes one. <code>waybill run jobs</code> starts a worker.`,
      href: ({ name }) => queuePath(name),
      id: ({ name }) => name,
    },
  );
}

function p95Of(latency: Latency | undefined): Markup | string {
  if (latency === undefined) return '–';
  const title = `95 of 100 deliveries took at most this long, from claim to end; of the newest ${number(latency.deliveries)}`;
  return markup`<span title="${title}">${duration(latency.p95)}</span>`;
}

function workersOf(advice: QueueAdvice | undefined): Markup | string {
  if (advice === undefined) return '–';
  const { workers, recommended } = advice;
  if (recommended === workers) return number(workers);
  return markup`${number(workers)} <span class="${recommended > workers ? 'warn' : 'soft'}" title="recommended">→ ${number(recommended)}</span>`;
}

/** Resume where it is closed, pause where it is open. */
export function queueActs(session: Session, queue: QueueView): Markup {
  const { name, state, waiting } = queue;
  const to = `${queuePath(name)}/${state === 'open' ? 'pause' : 'resume'}`;
  if (state === 'open')
    return markup`<div class="acts">${actForm(session, {
      to,
      label: 'Pause',
      key: 'p',
      quiet: true,
      look: 'danger',
      will: markup`No message of <code>${shown(name, 80)}</code> is claimed until it is resumed; what runs ends. ${number(waiting)} wait now.`,
      fields: markup`<input name="for" maxlength="40" placeholder="for: 2h (empty: until resumed)" aria-label="For how long" />`,
    })}</div>`;
  return markup`<div class="acts">${actForm(session, {
    to,
    label: 'Resume',
    key: 'p',
    quiet: true,
    will: markup`${number(waiting)} messages of <code>${shown(name, 80)}</code> may be claimed again.`,
  })}</div>`;
}
