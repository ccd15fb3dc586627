// The five numbers of the page Now, with the last hour as bars.

import type { Series, SeriesName } from '../operate/series.ts';
import type { Stats } from '../operate/stats.ts';
import { duration, number } from './figures.ts';
import { markup, type Markup } from './markup.ts';

/** Sums of the queues for each minute of the last hour; null: not known. */
function minutes({ series, stepSeconds, window }: Series, name: SeriesName): (number | null)[] {
  const lines = series.filter((one) => one.name === name).map(({ values }) => values);
  const length = lines[0]?.length ?? (window === '1h' ? 3_600 : 86_400) / stepSeconds;
  return Array.from({ length }, (_, i) => {
    const known = lines.map((values) => values[i] ?? null).filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
  });
}

const total = (values: readonly (number | null)[]): number =>
  values.reduce<number>((sum, value) => sum + (value ?? 0), 0);

export function fiveNumbers({ byStatus, oldestDueSeconds }: Stats, series: Series): Markup {
  const [delivered, retried, dead] = (['delivered', 'retried', 'dead'] as const).map((name) =>
    minutes(series, name),
  ) as [(number | null)[], (number | null)[], (number | null)[]];
  const good = total(delivered);
  const all = good + total(retried) + total(dead);
  const share = all === 0 ? '–' : String(Math.round((good / all) * 1_000) / 10);
  return markup`<section class="five" aria-label="Figures">
    ${figure('Oldest due', '/console/messages?status=pending', oldestDueSeconds === null ? '–' : duration(oldestDueSeconds), `${number(byStatus.pending)} wait`)}
    ${figure('Delivered a minute', '/console/messages?status=delivered', number(delivered.at(-1) ?? 0), '', delivered)}
    ${figure('Attempts succeed, 1 h', '/console/failures?window=1h', share, all === 0 ? '' : '%')}
    ${figure('Retrying', '/console/messages?status=failed', number(byStatus.failed), '', retried)}
    ${figure('Dead in 1 h', '/console/failures?window=1h', number(total(dead)), `${number(byStatus.dead)} kept`, dead)}</section>`;
}

function figure(
  label: string,
  href: string,
  value: string,
  unit: string,
  values: readonly (number | null)[] = [],
): Markup {
  return markup`<a href="${href}"><small>${label}</small><b>${value}${unit ? markup`<em>${unit}</em>` : null}</b>${bars(values)}</a>`;
}

/** Height of the tallest bar. */
const tallest = 28;

function bars(values: readonly (number | null)[]): Markup | null {
  const most = Math.max(0, ...values.map((value) => value ?? 0));
  if (most === 0) return null;
  const drawn = values.map((value, i) => {
    const height = Math.max(value ? 2 : 0, Math.round(((value ?? 0) / most) * tallest));
    return markup`<rect x="${i * 5}" y="${30 - height}" width="4" height="${height}"${i === values.length - 1 ? markup` class="now"` : null}></rect>`;
  });
  return markup`<svg class="bars" viewBox="0 0 ${values.length * 5} 30" preserveAspectRatio="none" aria-hidden="true">${drawn}</svg>`;
}
