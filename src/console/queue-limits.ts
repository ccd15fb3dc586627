// The limits of a queue: what is in force, what of it the application and an operator set, who and why; and the forms that set and reset them.

import type { Limits } from '../queues/limits.ts';
import type { QueueLimits } from '../queues/limits.ts';
import type { QueueView } from '../queues/queues.ts';
import { actForm, mayAct } from './act-form.ts';
import { duration, number, pill, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { queuePath } from './queue-table.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

const limitNames: Readonly<Record<keyof Limits, string>> = {
  rate: 'Starts, over the fleet',
  concurrency: 'In flight, over the fleet',
  concurrencyPerProcess: 'In flight, of one process',
  groupConcurrency: 'In flight, of one group',
  groupRate: 'Starts, of one group',
  rampMs: 'Ramp after it reopens',
};

function limitText(name: keyof Limits, limits: Limits): string {
  const value = limits[name];
  if (value === undefined || value === null) return '–';
  if (typeof value === 'object') {
    const burst = value.burst > 1 ? `, ${number(value.burst)} at once` : '';
    return `${number(value.limit)} in ${duration(value.ms / 1_000)}${burst}`;
  }
  return name === 'rampMs' ? duration(value / 1_000) : number(value);
}

export function limitsOf(session: Session, queue: QueueView): Markup {
  const { effective, application, operator, looser } = queue.limits;
  const names = (Object.keys(limitNames) as (keyof Limits)[]).filter(
    (name) => name in effective || name in application || name in operator,
  );
  const mark = (name: keyof Limits): Markup | null =>
    looser.includes(name)
      ? markup` <span title="It allows more than the application’s">${pill('warn', 'looser')}</span>`
      : null;
  return markup`${table(
    'Limits',
    names,
    [
      { head: 'Limit', as: 'lead', cell: (name) => limitNames[name] },
      { head: 'In force', as: 'n', cell: (name) => markup`<b>${limitText(name, effective)}</b>` },
      { head: 'Application', as: 'n', cell: (name) => limitText(name, application) },
      {
        head: 'Operator',
        as: 'n',
        cell: (name) => (name in operator ? markup`${limitText(name, operator)}${mark(name)}` : ''),
      },
    ],
    {
      empty: markup`No limit. <code>waybill queues limit NAME --rate 50/s</code> sets one for the whole fleet.`,
    },
  )}${setBy(queue.limits)}${mayAct(session) ? forms(session, queue) : null}`;
}

function setBy({ by, at, reason }: QueueLimits): Markup | null {
  if (by === null) return null;
  return markup`<p class="meta">Last set by ${shown(by, 60)} ${relative(at)}${reason === null ? null : markup`, “${shown(reason, 200)}”`}</p>`;
}

const fields: readonly (readonly [name: string, hint: string, label: string])[] = [
  ['rate', 'rate: 50/s, 100/m', 'Starts, over the fleet'],
  ['burst', 'at once: 5', 'Starts that may begin at once'],
  ['concurrency', 'in flight: 20', 'In flight, over the fleet'],
  ['perProcess', 'of one process: 5', 'In flight, of one process'],
  ['perGroupConcurrency', 'of one group: 2', 'In flight, of one group'],
  ['perGroupRate', 'of one group: 5/s', 'Starts, of one group'],
  ['ramp', 'ramp: 30s', 'Ramp after it reopens'],
];

function forms(session: Session, { name, limits }: QueueView): Markup {
  const set = actForm(session, {
    to: `${queuePath(name)}/limit`,
    label: 'Set limits',
    will: 'The limits hold for the whole fleet and replace the application’s, one by one. An empty field leaves a limit as it is; none lifts it.',
    fields: markup`${fields.map(([field, hint, label]) => markup`<input name="${field}" maxlength="40" placeholder="${hint}" aria-label="${label}" />`)}`,
  });
  const reset = actForm(session, {
    to: `${queuePath(name)}/reset`,
    label: 'Reset limits',
    will: 'The application’s limits hold again.',
  });
  return markup`<div class="acts">${set}${Object.keys(limits.operator).length === 0 ? null : reset}</div>`;
}
