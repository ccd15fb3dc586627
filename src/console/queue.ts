// The page of one queue: its state, its limits, its groups, and the order keys that a dead message blocks; and the list of all queues.

import { z } from 'zod';
import { listGroups, type GroupView } from '../operate/groups.ts';
import { listBlockedKeys, type BlockedKey } from '../operate/order.ts';
import { readStats } from '../operate/stats.ts';
import { checkKnown, listQueues, showQueue, type QueueLimits, type QueueView } from '../queues/queues.ts';
import type { Limits } from '../queues/limits.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { readAdvice } from '../scale/decisions.ts';
import { actForm, mayAct } from './act-form.ts';
import { get, quoted } from './command.ts';
import { duration, number, pill, plural, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Look, type Page, type View } from './page.ts';
import { queueActs, queuePath, queueState, queueTable } from './queue-table.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

export const queuesPage: Page = {
  path: '/console/queues',
  place: 'queues',
  async look(asked) {
    await parametersOf(z.strictObject({}), asked);
    const { db, session } = asked;
    const queues = await listQueues(db);
    const facts = { queues, stats: await readStats(db), advice: await readAdvice(db), session };
    return {
      title: 'Queues',
      content: markup`<h1>Queues</h1><p class="meta">A pause holds for the whole fleet, from the next claim on.</p>${queueTable(facts)}`,
      commands: [{ cli: 'waybill queues list', http: get('/queues') }],
    };
  },
};

export const queuePage: Page = { path: '/console/queues/:name', place: 'queues', look };

const shownGroups = 50;

async function look(asked: Look): Promise<View> {
  await parametersOf(z.strictObject({}), asked);
  const { db, session } = asked;
  const name = asked.params['name'] ?? '';
  await checkKnown(db, name);
  const queue = await showQueue(db, name);
  const groups = await listGroups(db, name, shownGroups);
  const blocked = await listBlockedKeys(db, name);
  const named = groups.filter(({ group }) => group !== null);
  const content = markup`<p class="crumb"><a href="/console/queues">Queues</a></p><h1><code>${shown(name, 100)}</code></h1>
    <div class="meta">${queueState(queue)}</div>
    ${mayAct(session) ? queueActs(session, queue) : null}
    <p class="meta"><a href="/console/messages?q=${encodeURIComponent(`queue:${name}`)}&amp;status=pending">${plural(queue.waiting, 'message waits', 'messages wait')}</a>, ${number(queue.ready)} may be claimed now, ${number(queue.inFlight)} in flight.</p>
    <h2>Limits</h2>${limitTable(queue)}${mayAct(session) ? limitForms(session, queue) : null}
    ${named.length === 0 ? null : markup`<h2>Groups</h2>${groupTable(session, name, named)}`}
    ${blocked.length === 0 ? null : markup`<h2>Blocked order keys</h2>${blockedTable(session, name, blocked)}`}`;
  const path = `/queues/${encodeURIComponent(name)}`;
  return {
    title: `Queue ${name}`,
    content,
    commands: [
      { cli: `waybill queues groups ${quoted(name)}`, http: get(`${path}/groups`) },
      { cli: `waybill queues blocked ${quoted(name)}`, http: get(`${path}/blocked`) },
    ],
  };
}

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
  if (typeof value === 'object') return `${number(value.limit)} in ${duration(value.ms / 1_000)}`;
  return name === 'rampMs' ? duration(value / 1_000) : number(value);
}

function limitTable({ limits }: QueueView): Markup {
  const { effective, application, operator } = limits;
  const names = (Object.keys(limitNames) as (keyof Limits)[]).filter(
    (name) => name in effective || name in application || name in operator,
  );
  return markup`${table(
    'Limits',
    names,
    [
      { head: 'Limit', as: 'lead', cell: (name) => limitNames[name] },
      { head: 'In force', as: 'n', cell: (name) => markup`<b>${limitText(name, effective)}</b>` },
      { head: 'Application', as: 'n', cell: (name) => limitText(name, application) },
      { head: 'Operator', as: 'n', cell: (name) => (name in operator ? limitText(name, operator) : '') },
    ],
    {
      empty: markup`No limit. <code>waybill queues limit NAME --rate 50/s</code> sets one for the whole fleet.`,
    },
  )}${setBy(limits)}`;
}

function setBy({ by, at, reason }: QueueLimits): Markup {
  if (by === null) return markup``;
  return markup`<p class="meta">Last set by ${shown(by, 60)} ${relative(at)}${reason === null ? null : markup`, “${shown(reason, 200)}”`}</p>`;
}

function limitForms(session: Session, { name, limits }: QueueView): Markup {
  const set = actForm(session, {
    to: `${queuePath(name)}/limit`,
    label: 'Set limits',
    will: 'The limits hold for the whole fleet and replace the application’s, one by one. An empty field leaves a limit as it is; none lifts it.',
    fields: markup`<input name="rate" maxlength="40" placeholder="rate: 50/s, 100/m" aria-label="Rate" />
      <input name="concurrency" maxlength="40" placeholder="in flight: 20" aria-label="Concurrency over the fleet" />
      <input name="perGroupConcurrency" maxlength="40" placeholder="of one group: 2" aria-label="Concurrency of one group" />`,
  });
  const reset = actForm(session, {
    to: `${queuePath(name)}/reset`,
    label: 'Reset limits',
    will: 'The application’s limits hold again.',
  });
  return markup`<div class="acts">${set}${Object.keys(limits.operator).length === 0 ? null : reset}</div>`;
}

function groupTable(session: Session, queue: string, groups: readonly GroupView[]): Markup {
  return table(
    'Groups',
    groups,
    [
      { head: 'Group', as: 'lead', cell: ({ group }) => markup`<code>${shown(group ?? '', 100)}</code>` },
      {
        head: 'State',
        cell: ({ paused }) =>
          paused === null
            ? pill('good', 'open')
            : markup`${pill('warn', 'paused')}<small>${shown(paused.reason ?? '')} · by ${shown(paused.by, 60)} · since ${relative(paused.since)}</small>`,
      },
      { head: 'Waiting', as: 'n', cell: ({ waiting }) => number(waiting) },
      { head: 'Due', as: 'n wide', cell: ({ due }) => number(due) },
      { head: 'In flight', as: 'n', cell: ({ inFlight }) => number(inFlight) },
      { head: 'Oldest', as: 'n', cell: ({ oldest }) => relative(oldest) },
      { head: '', as: 'tight', cell: (group) => (mayAct(session) ? groupAct(session, queue, group) : null) },
    ],
    { empty: markup`No group.`, id: ({ group }) => group ?? '' },
  );
}

function groupAct(session: Session, queue: string, { group, paused, waiting }: GroupView): Markup {
  const act = paused === null ? 'pause' : 'resume';
  return markup`<div class="acts">${actForm(session, {
    to: `${queuePath(queue)}/groups/${act}`,
    label: paused === null ? 'Pause' : 'Resume',
    key: 'p',
    quiet: true,
    will: markup`Only this group, with ${plural(waiting, 'waiting message')}.`,
    fields: markup`<input type="hidden" name="group" value="${group ?? ''}" />`,
    ...(paused === null && { look: 'danger' as const }),
  })}</div>`;
}

function blockedTable(session: Session, queue: string, blocked: readonly BlockedKey[]): Markup {
  return table(
    'Blocked order keys',
    blocked,
    [
      { head: 'Key', as: 'lead', cell: ({ orderKey }) => markup`<code>${shown(orderKey, 100)}</code>` },
      {
        head: 'Blocked by',
        cell: ({ messageId, name }) =>
          markup`<a href="/console/messages/${messageId}">${shown(name, 100)}</a>`,
      },
      { head: 'Error', cell: ({ error }) => (error === null ? null : shown(maskAddresses(error), 140)) },
      { head: 'Waiting', as: 'n', cell: ({ waiting }) => number(waiting) },
      { head: 'Dead', as: 'n', cell: ({ deadAt }) => relative(deadAt) },
      {
        head: '',
        as: 'tight',
        cell: ({ orderKey, waiting }) =>
          mayAct(session)
            ? markup`<div class="acts">${actForm(session, {
                to: `${queuePath(queue)}/unblock`,
                label: 'Unblock',
                look: 'danger',
                will: `The dead message stays dead, and ${plural(waiting, 'message')} behind it go on without it.`,
                fields: markup`<input type="hidden" name="orderKey" value="${orderKey}" />`,
              })}</div>`
            : null,
      },
    ],
    { empty: markup`No key is blocked.`, id: ({ orderKey }) => orderKey },
  );
}
