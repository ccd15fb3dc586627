// docs/security.md: its policy of pages is the code's. All pages: each test that one names as its proof exists.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { pagePolicy } from '../../src/console/frame.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string): string => readFileSync(`${root}${name}`, 'utf8');

it('the policy of the console on the page is the one that is sent', () => {
  expect(read('docs/security.md')).toContain(`\n${pagePolicy}\n`);
});

it('each test that a page names exists', () => {
  const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root });
  const named = pages.flatMap((page) => read(page).match(/test\/[\w/-]+\.test\.ts/g) ?? []);
  expect(named.length).toBeGreaterThan(40);
  expect([...new Set(named)].filter((name) => !existsSync(`${root}${name}`))).toEqual([]);
});
