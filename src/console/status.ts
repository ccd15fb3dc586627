// The states of a message as people say them, and how they look.

import type { Status } from '../message/message.ts';
import type { MessageView } from '../operate/read.ts';
import { waitLine, type Wait } from '../queues/waits.ts';
import { visibleLine } from '../redaction/visible.ts';
import { duration, pill, type Tone } from './figures.ts';
import { markup, type Markup } from './markup.ts';

export const statusWords: Readonly<Record<Status, string>> = {
  pending: 'waiting',
  sending: 'running',
  failed: 'retrying',
  dead: 'dead',
  cancelled: 'cancelled',
  delivered: 'delivered',
};

const tones: Readonly<Record<Status, Tone>> = {
  pending: '',
  sending: '',
  failed: 'warn',
  dead: 'bad',
  cancelled: 'soft',
  delivered: 'good',
};

export function statusPill({ status }: Pick<MessageView, 'status'>): Markup {
  return pill(tones[status], statusWords[status]);
}

/** What happens next with a message that waits: when it is due, or why it is not claimed, with the whole reason in the title. */
export function nextOf({ status, availableAt, waitsFor }: MessageView): Markup | null {
  if (status !== 'pending' && status !== 'failed') return null;
  if (waitsFor !== null)
    return markup`<span title="${visibleLine(waitLine(waitsFor)).slice(0, 300)}">${waitText(waitsFor)}</span>`;
  if (!(availableAt instanceof Date)) return null;
  const seconds = (availableAt.getTime() - Date.now()) / 1_000;
  return seconds > 0
    ? markup`<span title="${availableAt.toISOString()}">in ${duration(seconds)}</span>`
    : markup`due`;
}

function waitText({ state, group }: Wait): string {
  const what = group === undefined ? 'queue' : 'group';
  if (state === 'order') return 'behind its order key';
  if (state === 'rate') return 'due, by its rate';
  if (state === 'provider') return 'its provider is parked';
  return state === 'limited' ? `${what} at its limit` : `${what} ${state}`;
}
