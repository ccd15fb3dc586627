// The page of one queue: its state, its limits, its groups, and the order keys that a dead message blocks.

import { z } from 'zod';
import { listGroups } from '../operate/groups.ts';
import { listBlockedKeys, type BlockedKey } from '../operate/order.ts';
import { checkKnown, showQueue, type QueueView } from '../queues/queues.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { actForm, mayAct } from './act-form.ts';
import { get, post, quoted } from './command.ts';
import { number, plural, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { address, parametersOf, type Look, type Page, type View } from './page.ts';
import { groupsOf } from './queue-groups.ts';
import { limitsOf } from './queue-limits.ts';
import { queueActs, queuePath, queueState } from './queue-table.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

export const queuePage: Page = { path: '/console/queues/:name', place: 'queues', look };

/** Groups: paused and parked ones, then the largest; and blocked keys, the oldest first. */
const most = 50;

async function look(asked: Look): Promise<View> {
  await parametersOf(z.strictObject({}), asked);
  const { db, session } = asked;
  const name = asked.params['name'] ?? '';
  await checkKnown(db, name);
  const queue = await showQueue(db, name);
  const groups = await listGroups(db, name, most);
  const { blocked } = await listBlockedKeys(db, name, { limit: String(most) });
  const content = markup`<p class="crumb"><a href="/console/queues">Queues</a></p><h1><code>${shown(name, 100)}</code></h1>
    <div class="meta">${queueState(queue)}</div>
    ${mayAct(session) ? acts(session, queue) : null}
    <p class="meta"><a href="${address('/console/messages', { q: `queue:${name}`, status: 'pending' })}">${plural(queue.waiting, 'message waits', 'messages wait')}</a>, ${number(queue.ready)} may be claimed now, ${number(queue.inFlight)} in flight.</p>
    <h2>Limits</h2>${limitsOf(session, queue)}
    ${groupsOf(session, name, groups)}${blockedOf(session, name, blocked)}`;
  const path = `/queues/${encodeURIComponent(name)}`;
  const change = queue.state === 'open' ? 'pause' : 'resume';
  return {
    title: `Queue ${name}`,
    content,
    commands: [
      { cli: `waybill queues ${change} ${quoted(name)}`, http: post(`${path}/${change}`) },
      { cli: `waybill queues groups ${quoted(name)}`, http: get(`${path}/groups`) },
      { cli: `waybill queues blocked ${quoted(name)}`, http: get(`${path}/blocked`) },
    ],
  };
}

/** Beside pause and resume: one message through a pause, also where only its group is paused. */
function acts(session: Session, queue: QueueView): Markup {
  const run = actForm(session, {
    to: `${queuePath(queue.name)}/run`,
    label: 'Run one message',
    will: 'A waiting message of this queue is due now. Where the queue or its group is paused, a worker takes it through the pause, for one attempt.',
    fields: markup`<input name="id" maxlength="80" required placeholder="id of the message" aria-label="Id of the message" />`,
  });
  return markup`<div class="acts">${queueActs(session, queue)}${run}</div>`;
}

function blockedOf(session: Session, queue: string, blocked: readonly BlockedKey[]): Markup | null {
  if (blocked.length === 0) return null;
  const bound = blocked.length === most ? markup`<p class="meta">The ${most} oldest.</p>` : null;
  return markup`<h2>Blocked order keys</h2>${blockedTable(session, queue, blocked)}${bound}`;
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
      { head: '', as: 'tight', cell: (key) => (mayAct(session) ? unblock(session, queue, key) : null) },
    ],
    { empty: markup`No key is blocked.`, id: ({ orderKey }) => orderKey },
  );
}

function unblock(session: Session, queue: string, { orderKey, waiting }: BlockedKey): Markup {
  return markup`<div class="acts">${actForm(session, {
    to: `${queuePath(queue)}/unblock`,
    label: 'Unblock',
    look: 'danger',
    will: `The dead message stays dead, and ${plural(waiting, 'message')} behind it go on without it.`,
    fields: markup`<input type="hidden" name="orderKey" value="${orderKey}" />`,
  })}</div>`;
}
