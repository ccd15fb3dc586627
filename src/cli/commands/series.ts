// `waybill series`: the sums of each minute, without Prometheus.

import type { Command } from 'commander';
import { parseSeries, readSeries, seriesNames, seriesWindows, type Series } from '../../operate/series.ts';
import { single } from '../options.ts';
import { print, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type Options = Output & { readonly name?: string; readonly window?: string };

export function addSeries(program: Command): void {
  program
    .command('series')
    .description('what was recorded, delivered, retried and dead in each minute, by queue')
    .option('--name <name>', `${seriesNames.join(', ')} (default: all)`, single)
    .option('--window <span>', `${seriesWindows.join(', ')} (default: 1h)`, single)
    .action(async ({ name, window, ...options }: Options) => {
      const asked = parseSeries({ name, window });
      const series = await withDatabase(({ db }) => readSeries(db, asked.window, asked.name));
      print(series, options, seriesLines);
    });
}

function seriesLines({ series, from, to, stepSeconds }: Series): string[] {
  const span = `from ${from.toISOString()} to ${to.toISOString()}, a bar for ${stepSeconds / 60} min; · is not known`;
  if (series.length === 0) return [`nothing in the window: a relay takes the sums once a minute`, span];
  return [
    ...table(
      ['NAME', 'QUEUE', 'SUM', 'LAST', 'BARS'],
      series.map(({ name, queue, values }) => [
        name,
        queue,
        String(values.reduce<number>((sum, value) => sum + (value ?? 0), 0)),
        String(values.at(-1) ?? '–'),
        barsOf(values),
      ]),
    ),
    span,
  ];
}

const heights = '▁▂▃▄▅▆▇█';

function barsOf(values: readonly (number | null)[]): string {
  const most = Math.max(1, ...values.map((value) => value ?? 0));
  return values
    .map((value) => {
      if (value === null) return '·';
      return value === 0 ? ' ' : heights[Math.ceil((value / most) * heights.length) - 1]!;
    })
    .join('');
}
