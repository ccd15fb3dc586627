// The page of one message: what happened to it, what may be done with it, its facts, and its payload after it was asked for.

import { z } from 'zod';
import { listActs } from '../operate/audit.ts';
import { showMessage, type WholeMessage } from '../operate/read.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { visibleJson } from '../redaction/visible.ts';
import { hiddenToken, mayAct } from './act-form.ts';
import { get } from './command.ts';
import { number, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { messageForms } from './message-act.ts';
import { parametersOf, type Look, type Page, type View } from './page.ts';
import { queuePath } from './queue-table.ts';
import type { Session } from './session.ts';
import { nextOf, statusPill } from './status.ts';
import { timeline } from './timeline.ts';

export const messagePage: Page = { path: '/console/messages/:id', place: 'messages', look };

async function look(asked: Look): Promise<View> {
  await parametersOf(z.strictObject({}), asked);
  const message = await showMessage(asked.db, asked.params['id'] ?? '');
  return messageView(asked, message, null);
}

/** What is in a message, for a person who may see it and asked for it. */
export type Content = {
  readonly payload: string;
  /** Null: it is no email. */
  readonly mail: Markup | null;
};

/** @param content null: it stays hidden */
export async function messageView(
  { db, session }: Pick<Look, 'db' | 'session'>,
  message: WholeMessage,
  content: Content | null,
): Promise<View> {
  const { id, name } = message;
  const { acts } = await listActs(db, { target: id, limit: 50 });
  const page = markup`<p class="crumb"><a href="/console/messages">Messages</a> / <code>${id}</code></p>
    <h1>${shown(message.subject ?? name, 200)} ${statusPill(message)}</h1><p class="meta">${meta(message)}</p>
    ${mayAct(session) ? messageForms(session, message) : null}
    <div class="two"><section><h2>What happened</h2>${timeline(message, acts)}</section>
      <section><h2>${content?.mail ? 'Mail' : 'Payload'}</h2>${contentPart(session, message, content)}<h2>Facts</h2>${facts(message)}</section></div>`;
  return {
    title: name,
    content: page,
    commands: [{ cli: `waybill outbox show ${id}`, http: get(`/outbox/${id}`) }],
    live: content === null,
  };
}

function meta(message: WholeMessage): Markup {
  const { kind, recipient, deliveryKey, attemptCount, maxAttempts, createdAt } = message;
  const next = nextOf(message);
  return markup`${kind}${recipient === null ? null : markup` to ${shown(recipient, 80)}`}${deliveryKey === null ? null : markup` · key <code>${shown(maskAddresses(deliveryKey), 120)}</code>`} · attempt ${attemptCount} of ${maxAttempts} · recorded ${relative(createdAt)}${next === null ? null : markup` · next ${next}`}`;
}

function contentPart(session: Session, message: WholeMessage, content: Content | null): Markup {
  const { id, kind, sensitive } = message;
  if (sensitive) return markup`<p class="soft">Sealed: what is in this message is shown to nobody.</p>`;
  if (content?.mail)
    return markup`${content.mail}<details><summary>The payload as JSON</summary>${json(content)}</details>`;
  if (content !== null) return json(content);
  if (session.role !== 'admin')
    return markup`<p class="soft">Hidden: a key with the role admin may look into a message.</p>`;
  return markup`<form method="post" action="/console/messages/${id}/show">${hiddenToken(session)}
    <p class="soft">Hidden. <button>Show${kind === 'email' ? ' the mail' : ''}</button> The audit says who looked.</p></form>`;
}

/** Longest payload on a page, in characters. */
const mostOfPayload = 50_000;

function json({ payload }: Content): Markup {
  const isCut = payload.length > mostOfPayload;
  const note = markup`<p class="soft">The first 50,000 of ${number(payload.length)} characters; <code>waybill outbox show ID</code> has all.</p>`;
  return markup`<pre tabindex="0">${visibleJson(payload.slice(0, mostOfPayload))}</pre>${isCut ? note : null}`;
}

function facts(message: WholeMessage): Markup {
  const { queue, priority, group, orderKey, requestId, traceId, parentId, replacements, claimedBy } = message;
  const rows: readonly (readonly [string, Markup | null])[] = [
    ['Id', markup`${message.id}`],
    ['Queue', markup`<a href="${queuePath(queue)}">${shown(queue, 100)}</a>, priority ${priority}`],
    ['Group', group === null ? null : shown(group)],
    ['Order key', orderKey === null ? null : shown(orderKey)],
    ['Due', relative(message.availableAt)],
    ['Request', requestId === null ? null : shown(requestId, 130)],
    ['Trace', traceId === null || traceId === '' ? null : shown(traceId, 40)],
    ['Parent', parentId === null ? null : markup`<a href="/console/messages/${parentId}">${parentId}</a>`],
    ['Replaced', replacements === 0 ? null : markup`${replacements} times`],
    ['Worker', claimedBy === null ? null : shown(claimedBy, 120)],
  ];
  return markup`<dl class="facts">${rows
    .filter((row): row is [string, Markup] => row[1] !== null)
    .map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}
