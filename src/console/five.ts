// The five numbers of the page Now, with the last hour as bars, and marks where a deploy began.

import type { Series, SeriesName } from '../operate/series.ts';
import type { Stats } from '../operate/stats.ts';
import { mostDead, type Troubles } from '../operate/troubles.ts';
import type { Deploy } from '../process/deploys.ts';
import { duration, number, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';

type Values = readonly (number | null)[];

/** Sums of the queues for each minute of the last hour; null: not known. */
export function minutes({ series, stepSeconds, window }: Series, name: SeriesName): Values {
  const lines = series.filter((one) => one.name === name).map(({ values }) => values);
  const length = lines[0]?.length ?? (window === '1h' ? 3_600 : 86_400) / stepSeconds;
  return Array.from({ length }, (_, i) => {
    const known = lines.map((values) => values[i] ?? null).filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
  });
}

export const total = (values: Values): number => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);

export type Five = {
  readonly stats: Stats;
  /** Of the last hour. */
  readonly series: Series;
  readonly troubles: Troubles;
  /** Of the last hour. */
  readonly deploys: readonly Deploy[];
};

export function fiveNumbers({ stats, series, troubles: { deadInDay }, deploys }: Five): Markup {
  const { byStatus, oldestDueSeconds } = stats;
  const of = (name: SeriesName): Values => minutes(series, name);
  const [delivered, retried, dead] = [of('delivered'), of('retried'), of('dead')];
  const [good, bad] = [of('first_delivered'), of('first_failed')];
  const marks = deploys.map((deploy) => minuteOf(series, deploy)).filter((at) => at !== null);
  const oldest = oldestDueSeconds === null ? '–' : duration(oldestDueSeconds);
  const deadText = `${number(Math.min(deadInDay, mostDead))}${deadInDay > mostDead ? '+' : ''}`;
  return markup`<section class="five" aria-label="Figures">
    ${figure('Oldest due', '/console/messages?status=pending', oldest, `${number(byStatus.pending)} wait`)}
    ${figure('Delivered a minute', '/console/messages?status=delivered', number(delivered.at(-1) ?? 0), '', bars(delivered, marks))}
    ${figure('First-attempt success', '/console/failures?window=1h', ...share(good, bad), bars(shares(good, bad), marks, 1))}
    ${figure('Retrying', '/console/messages?status=failed', number(byStatus.failed), '', bars(retried, marks))}
    ${figure('Dead in 24 h', '/console/failures?window=24h', deadText, `${number(byStatus.dead)} kept`, bars(dead, marks))}</section>${deployLine(deploys)}`;
}

/** As a percentage, and its unit. */
function share(good: Values, bad: Values): [string, string] {
  const all = total(good) + total(bad);
  return all === 0 ? ['–', ''] : [String(Math.floor((total(good) / all) * 1_000) / 10), '% in 1 h'];
}

const shares = (good: Values, bad: Values): Values =>
  good.map((value, i) => {
    const all = (value ?? 0) + (bad[i] ?? 0);
    return all === 0 ? null : (value ?? 0) / all;
  });

/** Which minute of the series. Null: the deploy is not in it. */
function minuteOf({ from, to, stepSeconds }: Series, { at }: Deploy): number | null {
  if (!(at instanceof Date) || at < from || at >= to) return null;
  return Math.floor((at.getTime() - from.getTime()) / 1_000 / stepSeconds);
}

function deployLine(deploys: readonly Deploy[]): Markup | null {
  if (deploys.length === 0) return null;
  const names = deploys.map(
    ({ at, version, application }, i) =>
      markup`${i > 0 ? ', ' : ''}${shown(application ?? version, 40)} ${relative(at)}`,
  );
  return markup`<p class="meta deploys">Began in this hour: ${names}</p>`;
}

function figure(
  label: string,
  href: string,
  value: string,
  unit: string,
  drawn: Markup | null = null,
): Markup {
  return markup`<a href="${href}"><small>${label}</small><b>${value}${unit ? markup`<em>${unit}</em>` : null}</b>${drawn}</a>`;
}

/** Height of the tallest bar. */
const tallest = 28;

/** @param marks minutes in which a deploy began. @param top what the tallest bar stands for; default: the largest value */
function bars(values: Values, marks: readonly number[], top?: number): Markup | null {
  const most = Math.max(0, ...values.map((value) => value ?? 0));
  if (most === 0) return null;
  const drawn = values.map((value, i) => {
    const height = Math.max(value ? 2 : 0, Math.round(((value ?? 0) / (top ?? most)) * tallest));
    return markup`<rect x="${i * 5}" y="${30 - height}" width="4" height="${height}"${i === values.length - 1 ? markup` class="now"` : null}></rect>`;
  });
  const lines = marks.map(
    (at) => markup`<rect class="deploy" x="${at * 5}" y="0" width="1.5" height="30"></rect>`,
  );
  return markup`<svg class="bars" viewBox="0 0 ${values.length * 5} 30" preserveAspectRatio="none" aria-hidden="true">${drawn}${lines}</svg>`;
}
