// The page Audit, and the acts of people as lines on other pages.

import { z } from 'zod';
import { listActs, parseAuditFilter, type ActView } from '../operate/audit.ts';
import { get, quoted } from './command.ts';
import { clock, number, plural, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { address, parametersOf, type Look, type Page, type View } from './page.ts';
import { table } from './table.ts';

const verbs: Readonly<Record<string, string>> = {
  'bulk.pause': 'paused the bulk act',
  'bulk.resume': 'resumed the bulk act',
  'bulk.start': 'started the bulk act',
  'bulk.stop': 'stopped the bulk act',
  'failures.mute': 'muted the failures',
  'failures.unmute': 'unmuted the failures',
  'group.cancel': 'cancelled a group of',
  'group.pause': 'paused a group of',
  'group.resume': 'resumed a group of',
  'key.unblock': 'unblocked a key of',
  'message.cancel': 'cancelled',
  'message.copy': 'copied',
  'message.end': 'ended',
  'message.erase': 'erased',
  'message.reschedule': 'rescheduled',
  'message.retry': 'retried',
  'message.run': 'ran',
  'message.show': 'looked into',
  'messages.export': 'exported',
  'messages.import': 'imported',
  'messages.retry': 'retried',
  'process.quiet': 'quieted',
  'queue.limit': 'limited',
  'queue.pause': 'paused',
  'queue.reset': 'reset the limits of',
  'queue.resume': 'resumed',
  'session.start': 'signed in',
  'suppression.add': 'added a suppression',
  'suppression.remove': 'removed a suppression',
  'webhooks.replay': 'sent again the webhooks of',
  'cron.backfill': 'backfilled',
  'cron.disable': 'disabled',
  'cron.enable': 'enabled',
  'cron.run': 'ran',
};

/** Where the target of an act is shown. */
const pathsOf: Readonly<Record<string, string>> = {
  bulk: '/console/bulk/',
  message: '/console/messages/',
  queue: '/console/queues/',
};

/** `retried 312 messages`, `paused email` */
export function actText({ act, target, count }: ActView): Markup {
  const verb = verbs[act] ?? act;
  const where = pathsOf[act.slice(0, act.indexOf('.'))] ?? null;
  const named =
    target === null
      ? null
      : where === null
        ? markup` <code>${shown(target, 80)}</code>`
        : markup` <a href="${where}${encodeURIComponent(target)}"><code>${shown(target, 80)}</code></a>`;
  return markup`${verb}${named}${count === null ? null : markup` ${plural(count, 'message')}`}`;
}

export function actLines(acts: readonly ActView[]): Markup {
  if (acts.length === 0)
    return markup`<p class="soft">Nobody has done anything yet. What people do here, over HTTP or on the command line stands here.</p>`;
  return markup`<ul class="plain">${acts.map(
    (act) =>
      markup`<li><b>${shown(act.by, 60)}</b> ${actText(act)} <small>${relative(act.at)}${act.reason === null ? null : markup` · “${shown(act.reason, 160)}”`}</small></li>`,
  )}</ul>`;
}

const text = z.string().max(1_000).optional();
const parameters = z.strictObject({
  act: text,
  by: text,
  target: text,
  since: text,
  until: text,
  cursor: text,
});

export const auditPage: Page = { path: '/console/audit', place: 'audit', look };

async function look(asked: Look): Promise<View> {
  const { cursor, ...given } = await parametersOf(parameters, asked);
  const filter = Object.fromEntries(Object.entries(given).filter(([, value]) => value));
  const { acts, nextCursor } = await listActs(
    asked.db,
    parseAuditFilter({ ...filter, ...(cursor && { cursor }) }),
  );
  const content = markup`<h1>Audit</h1><p class="meta">What people and their programs did, newest first. Nobody can change it.</p>
    <form class="filter" action="/console/audit">
      <input name="by" value="${given.by ?? ''}" placeholder="by" aria-label="By" />
      <input name="act" value="${given.act ?? ''}" placeholder="act, such as queue.pause" aria-label="Act" />
      <input name="target" value="${given.target ?? ''}" placeholder="message id, queue or job" aria-label="Target" />
      <button>Filter</button></form>
    ${table(
      'Acts',
      acts,
      [
        {
          head: 'Who',
          as: 'lead',
          cell: ({ by, key, via }) =>
            markup`<b>${shown(by, 60)}</b><small>${via}${key === null ? '' : ` · key ${key}`}</small>`,
        },
        { head: 'What', cell: (act) => markup`${actText(act)}<small><code>${act.act}</code></small>` },
        { head: 'Reason', cell: ({ reason }) => (reason === null ? null : shown(reason)) },
        { head: 'Details', cell: details },
        { head: 'When', as: 'n', cell: ({ at }) => markup`${relative(at)}<small>${clock(at)}</small>` },
      ],
      {
        empty: markup`No act matches. The first one can be <code>waybill queues pause email --reason …</code>`,
        id: ({ id }) => id,
      },
    )}
    <nav class="pages" aria-label="Pages">${cursor ? markup`<a href="${address('/console/audit', filter)}">Newest</a>` : null}${nextCursor === null ? null : markup`<a rel="next" href="${address('/console/audit', { ...filter, cursor: nextCursor })}">Older</a>`}</nav>`;
  const flags = Object.entries(filter).map(([name, value]) => ` --${name} ${quoted(String(value))}`);
  return {
    title: 'Audit',
    content,
    commands: [{ cli: `waybill audit list${flags.join('')}`, http: get('/audit', filter) }],
    live: cursor === undefined,
  };
}

function details({ filter, detail, count, requestId }: ActView): Markup | null {
  const facts = [filter, detail]
    .filter((one) => one !== null && Object.keys(one).length > 0)
    .map((one) => markup`<code>${shown(JSON.stringify(one), 200)}</code>`);
  if (facts.length === 0 && count === null && requestId === null) return null;
  return markup`${facts}${count === null ? null : markup` ${number(count)}`}${requestId === null ? null : markup`<small>request ${shown(requestId, 60)}</small>`}`;
}
