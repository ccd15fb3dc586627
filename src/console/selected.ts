// The preview of an act on the messages that a person selected: what it will do with which of them, before it does anything.

import { z } from 'zod';
import { isAllowed } from '../message/transitions.ts';
import { isMessageId, viewMessage, type MessageView } from '../operate/read.ts';
import { isWaybillError } from '../errors.ts';
import type { Executor } from '../db/executor.ts';
import { hiddenToken } from './act-form.ts';
import { post } from './command.ts';
import { plural } from './figures.ts';
import { markup } from './markup.ts';
import { list } from './messages.ts';
import { parametersOf, type Look, type Page, type View } from './page.ts';

export const selectedPage: Page = {
  path: '/console/messages/selected',
  place: 'messages',
  role: 'operate',
  look,
};

/** A page of the list has no more. */
export const mostSelected = 500;

const ids = z
  .union([z.string(), z.array(z.string())])
  .default([])
  .transform((given) => [given].flat().filter(isMessageId).slice(0, mostSelected));
const parameters = z.strictObject({ act: z.enum(['retry', 'cancel']), id: ids });

async function look(asked: Look): Promise<View> {
  const { act, id } = await parametersOf(parameters, asked);
  const messages = await selectedMessages(asked.db, id);
  const fit = messages.filter(({ status }) => isAllowed(act, status));
  const unfit = messages.length - fit.length;
  const verb = act === 'retry' ? 'Retry' : 'Cancel';
  const content = markup`<h1>${verb} ${plural(fit.length, 'message')}?</h1>
    <p class="meta">${unfit === 0 ? '' : `${plural(unfit, 'selected message is', 'selected messages are')} skipped: ${act} is not possible in their state. `}Nothing has been done yet.</p>
    ${
      fit.length === 0
        ? null
        : markup`<form class="filter" method="post" action="/console/messages/selected">${hiddenToken(asked.session)}
      <input type="hidden" name="act" value="${act}" />${fit.map((one) => markup`<input type="hidden" name="id" value="${one.id}" />`)}
      <input name="reason" maxlength="1000" placeholder="Reason, for the audit" aria-label="Reason" autofocus />
      <button class="${act === 'retry' ? 'main' : 'danger'}">${verb} ${plural(fit.length, 'message')}</button></form>`
    }
    ${list(fit, false)}`;
  const [first] = fit;
  return {
    title: `${verb} the selected messages`,
    content,
    commands: first
      ? [{ cli: `waybill outbox ${act} ${first.id}`, http: post(`/outbox/${first.id}/${act}`) }]
      : [],
    live: false,
  };
}

async function selectedMessages(db: Executor, wanted: readonly string[]): Promise<MessageView[]> {
  const messages: MessageView[] = [];
  for (const id of wanted) {
    try {
      messages.push(await viewMessage(db, id));
    } catch (error) {
      if (!isWaybillError(error)) throw error; // pruned since the list was shown
    }
  }
  return messages;
}
