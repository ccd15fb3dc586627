// Links of every document lead to files and headings that are there, on GitHub and so on the site.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { anchorOf } from '../../site/anchor.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = globSync(['*.md', 'src/*.md', 'docs/**/*.md', 'deploy/**/*.md', '.github/**/*.md'], {
  cwd: root,
  exclude: ['docs/api/**'],
}).toSorted();

/** Text without blocks of code: a comment in one is no heading, and a call in one is no link. */
const prose = (file: string): string =>
  readFileSync(join(root, file), 'utf8').replaceAll(/^([ \t]*)```[\s\S]*?^\1```$/gm, '');

/** The anchors of a page: a heading that stands twice has a number behind the second. */
function anchorsOf(file: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of prose(file).matchAll(/^#+ (.*)$/gm)) {
    const plain = anchorOf(heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1'));
    let anchor = plain;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${plain}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

it.each(pages)('%s', (page) => {
  const dead = [
    ...prose(page)
      .replaceAll(/`[^`\n]*`/g, '')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ]
    .map(([, target]) => target!)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(root, file))) return true;
      return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor);
    });
  expect(dead).toEqual([]);
});
