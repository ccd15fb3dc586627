// Blocks of mermaid: checked by its parser when the site is built, drawn in the browser.

import DOMPurify from 'dompurify';
import type { MarkdownRenderer } from 'vitepress';
import mermaid from 'mermaid';

// Without a document DOMPurify cleans nothing, and mermaid's parser calls it for every label. What it returns here is thrown away.
Object.assign(DOMPurify, { addHook: () => {}, sanitize: (text: string) => text });

/** Makes a `mermaid` block the component Diagram, with the text of the block as its property. */
export function diagrams(md: MarkdownRenderer): void {
  const fence = md.renderer.rules.fence!;
  md.renderer.rules.fence = (tokens, at, options, env, self) => {
    const { info, content } = tokens[at]!;
    if (info.trim() !== 'mermaid') return fence(tokens, at, options, env, self);
    return `<Diagram code="${encodeURIComponent(content)}" />`;
  };
}

/**
 * @param page its file, for the message
 * @throws Error with the page, the line and what mermaid's parser says
 */
export async function checkDiagrams(page: string, text: string): Promise<void> {
  for (const { 0: block, 1: code, index } of text.matchAll(/^```mermaid\n([\s\S]*?)^```$/gm))
    try {
      await mermaid.parse(code!);
    } catch (error) {
      const line = text.slice(0, index).split('\n').length;
      throw new Error(`${page}:${line}: the diagram cannot be drawn: ${(error as Error).message}\n${block}`, {
        cause: error,
      });
    }
}
