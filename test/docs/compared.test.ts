// docs/compared.md and docs/high-availability.md: their figures are those of docs/performance.md, and the versions those that the benchmarks install.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const rowsOf = (text: string): string[][] =>
  [...text.matchAll(/^\|(.*)\|$/gm)].map(([, row]) => row!.split('|').map((cell) => cell.trim()));
const section = (text: string, title: string): string => text.split(`\n## ${title}\n`)[1]!.split('\n## ')[0]!;

const page = read('docs/compared.md');
const performance = read('docs/performance.md');
const measured = rowsOf(performance);

describe('the speeds of docs/compared.md', () => {
  const speeds = rowsOf(section(page, 'Speed')).filter(([, version]) => /^\d/.test(version!));
  const installed = JSON.parse(read('bench/package.json')) as Record<string, Record<string, string>>;
  const versions: Record<string, string | undefined> = {
    ...installed['dependencies'],
    ...installed['optionalDependencies'],
    waybill: (JSON.parse(read('package.json')) as { version: string }).version,
    dbos: installed['optionalDependencies']!['@dbos-inc/dbos-sdk'],
  };

  it.each(speeds)('%s %s: %s a second, %s ms', (name, version, rate, median) => {
    expect(versions[name!.split(' ')[0]!.toLowerCase()]).toBe(version);
    const [, itsRate, , , , itsMedian] = measured.find(([first, , , , , p50]) => first === name && p50)!;
    expect([rate, median]).toEqual([itsRate, itsMedian]);
  });

  it('are six', () => {
    expect(speeds).toHaveLength(6);
  });
});

it('the limits of one Postgres are figures of docs/performance.md or docs/flow.md', () => {
  const limits = rowsOf(section(read('docs/high-availability.md'), 'The limits of one Postgres'));
  const figures = limits.flatMap(([, figure]) => figure!.match(/\d[\d,.]*/g) ?? []);
  expect(figures.length).toBeGreaterThan(6);
  const text = `${performance} ${read('docs/flow.md')}`;
  expect(figures.filter((figure) => !text.includes(figure))).toEqual([]);
});
