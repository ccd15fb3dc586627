// The states of a message as people say them, and how they look.

import type { Status } from '../message/message.ts';
import type { MessageView } from '../operate/read.ts';
import { duration, pill, type Tone } from './figures.ts';
import type { Markup } from './markup.ts';

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

/** What happens next with a message that waits: when it is due, or why it is not claimed. */
export function nextOf({ status, availableAt, waitsFor }: MessageView): string | null {
  if (status !== 'pending' && status !== 'failed') return null;
  if (waitsFor !== null)
    return waitsFor.state === 'order' ? 'behind its order key' : `queue ${waitsFor.state}`;
  if (!(availableAt instanceof Date)) return null;
  const seconds = (availableAt.getTime() - Date.now()) / 1_000;
  return seconds > 0 ? `in ${duration(seconds)}` : 'due';
}
