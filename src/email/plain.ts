// The text part of an email that was written in html only: for readers without html, and for filters that expect both.

import { createRequire } from 'node:module';
import type { compile, HtmlToTextOptions } from 'html-to-text';

/** Beyond this an email's text is cut; reading html takes time that grows with it. */
const MAX_HTML = 1_000_000;

const options: HtmlToTextOptions = {
  wordwrap: 78, // RFC 5322, section 2.1.1: lines of no more than 78 characters
  limits: { maxDepth: 200 },
  selectors: [
    { selector: 'img', format: 'skip' },
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true, noAnchorUrl: true } },
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
    // Most tables of emails are there for the layout; a row is a line, and cells do not run into one another.
    { selector: 'tr', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
    ...['td', 'th'].map((selector) => ({ selector, format: 'inlineSurround', options: { suffix: ' ' } })),
  ],
};

let convert: ReturnType<typeof compile> | undefined;

/** Loaded for the first email that needs it: most processes write none. Not `await import`, because a message is made without waiting. */
function converter(): ReturnType<typeof compile> {
  const load = createRequire(import.meta.url);
  return (convert ??= (load('html-to-text') as { compile: typeof compile }).compile(options));
}

/** @returns undefined when the html holds no text */
export function plainText(html: string): string | undefined {
  const text = converter()(html.slice(0, MAX_HTML).toWellFormed()).replaceAll(/ +$/gm, '').trim();
  return text === '' ? undefined : text.replaceAll('\0', '');
}
