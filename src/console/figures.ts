// How the pages write numbers, durations, moments and texts that came from elsewhere.

import type { Moment } from '../db/moment.ts';
import { visibleLine } from '../redaction/visible.ts';
import { markup, type Markup } from './markup.ts';

const english = new Intl.NumberFormat('en');

/** `1,902` */
export function number(value: number): string {
  return english.format(Math.round(value));
}

/** `6 m 12 s`: the two largest units. */
export function duration(seconds: number): string {
  if (seconds < 0.001) return '0 s';
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1_000))} ms`;
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  const units = [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const;
  const first = units.findIndex(([, size]) => whole >= size);
  const [large, small] = [units[first]!, units[first + 1]];
  const rest = small ? Math.floor((whole % large[1]) / small[1]) : 0;
  const more = small && rest > 0 ? ` ${rest} ${small[0]}` : '';
  return `${Math.floor(whole / large[1])} ${large[0]}${more}`;
}

const sizes = ['B', 'KB', 'MB', 'GB', 'TB'];

/** `1.4 GB` */
export function bytes(value: number): string {
  const power = Math.min(sizes.length - 1, value < 1 ? 0 : Math.floor(Math.log(value) / Math.log(1_024)));
  return `${(value / 1_024 ** power).toFixed(power === 0 ? 0 : 1)} ${sizes[power]}`;
}

/** A moment relative to now, with the absolute one in the title. */
export function relative(moment: Moment | null): Markup {
  if (moment === null) return markup`–`;
  if (typeof moment === 'string') return shown(moment);
  const seconds = (Date.now() - moment.getTime()) / 1_000;
  const whole = Math.floor(Math.abs(seconds));
  const text = seconds > -1 ? `${whole < 1 ? '0 s' : duration(whole)} ago` : `in ${duration(whole)}`;
  const iso = moment.toISOString();
  return markup`<time datetime="${iso}" title="${absolute(iso)}">${text}</time>`;
}

/** The clock's time of a moment, with the date in the title; the script can show it in the browser's own zone. */
export function clock(moment: Moment | null): Markup {
  if (moment === null) return markup``;
  if (typeof moment === 'string') return shown(moment);
  const iso = moment.toISOString();
  const isToday = iso.slice(0, 10) === new Date().toISOString().slice(0, 10);
  const text = isToday ? iso.slice(11, 23) : iso.slice(0, 19).replace('T', ' ');
  return markup`<time datetime="${iso}" title="${absolute(iso)}" data-clock="${isToday ? 'time' : 'date'}">${text}</time>`;
}

/** A moment as date and time, for lists of moments. */
export function exact(moment: Moment | null): Markup {
  if (moment === null) return markup`–`;
  if (typeof moment === 'string') return shown(moment);
  const iso = moment.toISOString();
  return markup`<time datetime="${iso}" title="${absolute(iso)}" data-clock="date">${iso.slice(0, 16).replace('T', ' ')}</time>`;
}

function absolute(iso: string): string {
  return `${iso.slice(0, 19).replace('T', ' ')} UTC`;
}

/** Longest text in a row of a list. */
const mostShown = 300;

/** One line of text from elsewhere: unseen characters become visible, text directions stay inside, and a long text is cut. */
export function shown(text: string, most = mostShown): Markup {
  const line = visibleLine(text.length > most ? text.slice(0, most) : text);
  return markup`<bdi>${line}${text.length > most ? '…' : ''}</bdi>`;
}

export function plural(count: number, one: string, several = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : several}`;
}

export type Tone = 'good' | 'warn' | 'bad' | 'soft' | '';

export function pill(tone: Tone, text: string): Markup {
  return markup`<span class="pill ${tone}">${text}</span>`;
}
