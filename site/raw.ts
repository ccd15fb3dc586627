// Text of a page that VitePress would not show as GitHub does: `{{…}}`, and tags that are no HTML.

import type { MarkdownRenderer } from 'vitepress';
import { sourceOf } from './links.ts';

/** Shows `{{` in text as it is written: Vue would take it for an expression. */
export function plainBraces(md: MarkdownRenderer): void {
  const text = md.renderer.rules.text!;
  md.renderer.rules.text = (...given) => text(...given).replaceAll('{{', '&#123;&#123;');
}

const known = new Set(['br', 'kbd', 'sub', 'sup', 'details', 'summary', 'picture', 'source', 'img', 'a']);

/**
 * Refuses raw tags that GitHub does not show either, as in a forgotten pair of backticks around <ADDRESS>.
 * Pages of the API are generated, and escape what they say.
 */
export function noUnknownTags(md: MarkdownRenderer): void {
  md.core.ruler.push('no-unknown-tags', ({ tokens, env }) => {
    const page = sourceOf((env as { relativePath: string }).relativePath);
    for (const token of tokens)
      for (const { type, content } of [token, ...(token.children ?? [])])
        if (type === 'html_inline' || type === 'html_block')
          refuse(content, `docs/${page}:${(token.map?.[0] ?? 0) + 1}`);
  });
}

function refuse(html: string, where: string): void {
  for (const [tag, name] of html.matchAll(/<\/?([A-Za-z][\w-]*)[^>]*>/g))
    if (!known.has(name!.toLowerCase()))
      throw new Error(`${where}: ${tag} is taken for HTML, and not shown. Put it into backticks`);
}
