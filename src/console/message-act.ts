// What may be done to one message: the forms on its page, and what they do.

import { z } from 'zod';
import { copy } from '../acts/copy.ts';
import { cancel, end, erase, reschedule, retry, run } from '../acts/messages.ts';
import { isAllowed } from '../message/transitions.ts';
import { endings } from '../operate/end.ts';
import type { WholeMessage } from '../operate/read.ts';
import { readDue } from '../operate/reschedule.ts';
import { actForm, type ActForm } from './act-form.ts';
import { endForm } from './end-form.ts';
import { nothing, read, type ConsoleAct } from './doing.ts';
import { markup, type Markup } from './markup.ts';
import type { Session } from './session.ts';

type Offer = Omit<ActForm, 'to'> & { readonly act: string };

/** Those that the message's state and the session's role allow. */
export function messageForms(session: Session, message: WholeMessage): Markup {
  const { id, status, orderKey, waitsFor } = message;
  const isDismissable = orderKey !== null && isAllowed('dismiss', status);
  const offers: readonly (Offer | false)[] = [
    isAllowed('retry', status) && retryOffer,
    waitsFor?.state === 'paused' && runOffer,
    waitsFor?.state === 'provider' && otherProviderOffer,
    isAllowed('end', status) && endOffer,
    (isAllowed('cancel', status) || isDismissable) && cancelOffer,
    isAllowed('reschedule', status) && rescheduleOffer,
    session.role === 'admin' && copyOffer(message),
    session.role === 'admin' && ['delivered', 'dead', 'cancelled'].includes(status) && eraseOffer,
  ];
  const forms = offers
    .filter((offer) => offer !== false)
    .map(({ act, ...form }) => actForm(session, { ...form, to: `/console/messages/${id}/${act}` }));
  return forms.length === 0 ? markup`` : markup`<div class="acts">${forms}</div>`;
}

const retryOffer: Offer = {
  act: 'retry',
  label: 'Retry now',
  key: 'r',
  look: 'main',
  will: 'It is due at once, with all its attempts again.',
};

const runOffer: Offer = {
  act: 'run',
  label: 'Run now',
  will: 'It is due now, and a worker takes it through the pause, for one attempt. Limits and order keys hold.',
};

const otherProviderOffer: Offer = {
  act: 'run',
  label: 'Send by another provider',
  look: 'danger',
  will: 'It is due now, and a provider that is open sends it. If the earlier attempt arrived, its recipients get it twice.',
};

const cancelOffer: Offer = {
  act: 'cancel',
  label: 'Cancel',
  key: 'c',
  look: 'danger',
  will: 'It is never delivered, unless somebody retries it.',
};

const endOffer: Offer = { ...endForm, act: 'end' };

const rescheduleOffer: Offer = {
  act: 'reschedule',
  label: 'Reschedule',
  will: 'It is due at another time.',
  fields: markup`<input name="in" maxlength="40" required placeholder="in: 30m, 2h, 7d" aria-label="In how long" />`,
};

const eraseOffer: Offer = {
  act: 'erase',
  label: 'Erase',
  look: 'danger',
  will: 'Its payload, its errors and its addresses are replaced for good. It can never be delivered again.',
};

function copyOffer({ id, kind, sensitive }: WholeMessage): Offer {
  const to = markup`<input name="to" maxlength="320" placeholder="to another address (empty: the same)" aria-label="Recipient of the copy" />`;
  const edit = markup`<button formaction="/console/messages/${id}/edit">Edit it first …</button>`;
  return {
    act: 'copy',
    label: 'Copy as new',
    will: 'A new message with the same content is recorded, without a delivery key. This one stays as it is. Editing shows what is in it, which the audit says.',
    fields: markup`${kind === 'email' ? to : null}${sensitive ? null : edit}`,
  };
}

const there = (id: string): string => `/console/messages/${id}`;
const idOf = (params: Readonly<Record<string, string>>): string => params['id'] ?? '';

const plain = { retry, cancel, run };

function plainAct(name: keyof typeof plain, said: string): ConsoleAct {
  return {
    path: `/console/messages/:id/${name}`,
    async run({ db, actor, params, form }) {
      await read(nothing, form);
      const { id } = await plain[name](db, actor, idOf(params));
      return { to: there(id), said };
    },
  };
}

const endAct: ConsoleAct = {
  path: '/console/messages/:id/end',
  async run({ db, actor, params, form }) {
    const { then } = await read(z.strictObject({ then: z.enum(endings) }), form);
    const { id } = await end(db, actor, idOf(params), then);
    return { to: there(id), said: 'The attempt is ended.' };
  },
};

const rescheduleAct: ConsoleAct = {
  path: '/console/messages/:id/reschedule',
  async run({ db, actor, params, form }) {
    const { in: duration } = await read(z.strictObject({ in: z.string().max(40) }), form);
    const { id } = await reschedule(db, actor, idOf(params), readDue({ in: duration.trim() }));
    return { to: there(id), said: 'It is due at another time.' };
  },
};

const eraseAct: ConsoleAct = {
  path: '/console/messages/:id/erase',
  role: 'admin',
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    await erase(db, actor, idOf(params));
    return { to: there(idOf(params)), said: 'Erased.' };
  },
};

const copyAct: ConsoleAct = {
  path: '/console/messages/:id/copy',
  role: 'admin',
  async run({ db, config, actor, params, form }) {
    const { to } = await read(z.strictObject({ to: z.string().max(320).default('') }), form);
    const changes = to.trim() === '' ? {} : { to: to.trim() };
    const { maxPayloadBytes, payloadKeys } = config;
    const { id } = await copy({ db, maxPayloadBytes, payloadKeys }, actor, idOf(params), changes);
    return { to: there(id), said: 'This is the copy.' };
  },
};

export const messageActs: readonly ConsoleAct[] = [
  plainAct('retry', 'Retried: it is due now.'),
  plainAct('cancel', 'Cancelled.'),
  plainAct('run', 'It is due now, and a worker takes it through the pause.'),
  endAct,
  rescheduleAct,
  eraseAct,
  copyAct,
];
