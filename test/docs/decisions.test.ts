// docs/decisions/, docs/performance.md and CONTRIBUTING.md: the files, scripts and benchmarks that they name are there.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const all = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map((match) => match[1]!);

const index = 'docs/decisions/README.md';
const decisions = globSync('docs/decisions/[0-9]*.md', { cwd: root }).toSorted();
const pages = ['CONTRIBUTING.md', 'docs/performance.md', index, ...decisions];

it('the index lists every decision, in its order, and numbers have no gap', () => {
  expect(
    all(read(index), /\]\((\d{3}-[a-z-]+\.md)\)/g).filter((name, i, names) => names.indexOf(name) === i),
  ).toEqual(decisions.map((file) => file.replace('docs/decisions/', '')));
  expect(decisions.map((file) => Number(file.slice(15, 18)))).toEqual(decisions.map((_, i) => i + 1));
});

it.each(decisions)('%s has a title with its number, context, decision and figures', (file) => {
  const text = read(file);
  expect(/^# (\d{3}) /.exec(text)?.[1]).toBe(file.slice(15, 18));
  expect(all(text, /^## (.*)$/gm).slice(0, 3)).toEqual(['Context', 'Decision', 'Figures']);
});

describe.each(pages)('%s', (page) => {
  const text = read(page);

  it('names tests, scripts and benchmarks that are there', () => {
    for (const file of all(text, /\b((?:test|src|bench)\/[\w./-]+\.ts)\b/g))
      expect(existsSync(join(root, file)), file).toBe(true);
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    for (const script of all(text, /npm run (?:--silent )?([a-z][a-z:]*)/g))
      expect(scripts).toHaveProperty(script);
    for (const names of all(text, /npm run bench -- ((?:[a-z]+ ?)+)/g))
      for (const name of names.trim().split(' '))
        expect(existsSync(join(root, 'bench', `${name}.ts`)), name).toBe(true);
  });
});
