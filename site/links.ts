// Links and images of a page that lead to no page of the site: to files beside the pages, and to files of the repository outside of docs/.

import { existsSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MarkdownRenderer } from 'vitepress';

const root = fileURLToPath(new URL('../', import.meta.url));
const docs = join(root, 'docs');

/** Files beside the pages that pages link to, from docs/: the build copies them. */
export type Files = Set<string>;

/**
 * Makes links out of docs/ lead to the repository. Without its address their text stays, and the link goes.
 *
 * @param repository its address, or undefined
 * @param files is filled with linked files of docs/ that are no pages
 */
export function linksOut(md: MarkdownRenderer, repository: string | undefined, files: Files): void {
  md.core.ruler.push('links-out', ({ tokens, env }) => {
    const page = join(docs, sourceOf((env as { relativePath: string }).relativePath));
    for (const { type, children } of tokens)
      if (type === 'inline' && children !== null) turn(children, page, repository, files);
  });
}

/** The file of a page, from docs/. `relativePath` is that of the site, where README.md is index.md. */
export const sourceOf = (page: string): string =>
  page.startsWith('api/') ? page : page.replace(/(^|\/)index\.md$/, '$1README.md');

function turn(tokens: readonly Token[], page: string, repository: string | undefined, files: Files): void {
  for (const [at, token] of tokens.entries()) {
    const href = token.type === 'link_open' ? token.attrGet('href') : null;
    if (href === null || /^(?:[a-z]+:|#|\/)/.test(href)) continue;
    const to = target(page, href, repository);
    if (to.file !== undefined) {
      files.add(to.file);
      token.attrSet('target', '_self'); // says to VitePress that this is no page
    }
    if (to.href !== undefined) token.attrSet('href', to.href);
    if (to.gone !== true) continue;
    token.attrs = null;
    token.tag = 'span';
    tokens.find(({ type, level }, i) => i > at && type === 'link_close' && level === token.level)!.tag =
      'span';
  }
}

type Token = ReturnType<MarkdownRenderer['parse']>[number];
type Target = { readonly href?: string; readonly file?: string; readonly gone?: true };

/** @throws Error when the file is not there */
function target(page: string, href: string, repository: string | undefined): Target {
  const [path = '', hash] = href.split('#');
  const file = join(dirname(page), decodeURIComponent(path));
  const inside = relative(docs, file);
  if (!inside.startsWith('..') && path.endsWith('.md'))
    return { href: href.replace(/(^|\/)README\.md/, '$1index.md') }; // a page: VitePress checks it
  if (!existsSync(file)) throw new Error(`${relative(root, page)} links to ${href}, which is not there`);
  if (!inside.startsWith('..') && statSync(file).isFile()) return { file: inside };
  if (repository === undefined) return { gone: true };
  const kind = statSync(file).isDirectory() ? 'tree' : 'blob';
  return {
    href: `${repository}/${kind}/main/${relative(root, file)}${hash === undefined ? '' : `#${hash}`}`,
  };
}
