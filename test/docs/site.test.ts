// The site's sections against the pages that there are, and its pure parts. The build itself (npm run docs) checks links, anchors and diagrams.

import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { checkSite } from '../../site/check.ts';
import { repositoryOf } from '../../site/repository.ts';
import { addressOf, sectionsOf } from '../../site/sidebar.ts';

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));

describe('the sections of docs/README.md', () => {
  const sections = sectionsOf(readFileSync(join(docs, 'README.md'), 'utf8'));

  it('are five, and each page stands in exactly one', () => {
    expect(sections.map(({ title }) => title)).toEqual(['Start', 'Guides', 'Operate', 'Reference', 'Why']);
    const pages = globSync(['*.md', '*/README.md'], { cwd: docs, exclude: ['api/**', 'README.md'] });
    expect(sections.flatMap((one) => one.pages.map(({ file }) => file)).toSorted()).toEqual(pages.toSorted());
  });

  it('refuse a page that stands in two', () => {
    const twice = '**Start**\n\n- [one](a.md)\n\n**Why**\n\n- [again](a.md#part)\n';
    expect(() => sectionsOf(twice)).toThrow('docs/README.md lists a.md twice');
    expect(() => sectionsOf('[one](a.md)')).toThrow('before its first');
  });

  it('have the addresses that the site gives to files', () => {
    expect(['email.md', 'README.md', 'decisions/README.md'].map(addressOf)).toEqual([
      '/email',
      '/',
      '/decisions/',
    ]);
  });
});

describe('the address of the repository', () => {
  const about = { version: '1.0.0', description: 'x' };

  it.each([
    ['git+https://github.com/example/waybill.git', 'https://github.com/example/waybill'],
    ['github:example/waybill', 'https://github.com/example/waybill'],
    ['https://git.example.com/waybill/', 'https://git.example.com/waybill'],
  ])('%s is %s', (written, address) => {
    expect(repositoryOf({ ...about, repository: written }, {})).toBe(address);
    expect(repositoryOf({ ...about, repository: { url: written } }, {})).toBe(address);
  });

  it('is that of the runner when package.json has none, and must be known to publish', () => {
    const runner = { GITHUB_SERVER_URL: 'https://github.com', GITHUB_REPOSITORY: 'example/fork' };
    expect(repositoryOf(about, runner)).toBe('https://github.com/example/fork');
    expect(repositoryOf(about, {})).toBeUndefined();
    expect(() => repositoryOf(about, { DOCS_PUBLISH: '1' })).toThrow('Set "repository" in package.json');
  });
});

it('a built site is refused with every dead link, anchor and image, and its page', () => {
  const folder = mkdtempSync(join(docs, '../test/.site-'));
  try {
    writeFileSync(join(folder, 'style.css'), '');
    writeFileSync(join(folder, 'index.html'), '<h1 id="top"><a href="/w/a#one"><link href="/w/style.css">');
    writeFileSync(join(folder, 'a.html'), '<h2 id="one"><a href="./#top"><a href="https://example.com/#x">');
    expect(() => checkSite(folder, '/w/')).not.toThrow();
    writeFileSync(
      join(folder, 'b.html'),
      '<a href="/w/a#two"><a href="./none"><img src="/a.png"><a href="#top">',
    );
    expect(() => checkSite(folder, '/w/')).toThrow(
      'dead links of the site:\nb.html: /w/a#two\nb.html: ./none\nb.html: /a.png\nb.html: #top',
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
