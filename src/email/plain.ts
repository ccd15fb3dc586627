// Derives the text part of an email that has only html, for text readers and for filters that expect both parts.

import type { compile, HtmlToTextOptions } from 'html-to-text';
import { WaybillError } from '../errors.ts';
import { loadPackage } from '../packages.ts';

/** Longer html is cut before conversion, because the time grows with its length. */
const MAX_HTML = 1_000_000;

const options: HtmlToTextOptions = {
  wordwrap: 78, // RFC 5322, section 2.1.1: lines of no more than 78 characters
  limits: { maxDepth: 200 },
  selectors: [
    { selector: 'img', format: 'skip' },
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true, noAnchorUrl: true } },
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
    // Most tables in emails are for layout: each row becomes a line, and blanks separate the cells.
    { selector: 'tr', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
    ...['td', 'th'].map((selector) => ({ selector, format: 'inlineSurround', options: { suffix: ' ' } })),
  ],
};

let convert: ReturnType<typeof compile> | undefined;

/**
 * Loaded on first use, because most processes need none. Not by `await import`, because messages are made synchronously.
 * @throws WaybillError `package_missing` in a bundle without html-to-text beside it
 */
function converter(): ReturnType<typeof compile> {
  convert ??= loadPackage<{ compile: typeof compile }>('html-to-text')?.compile(options);
  if (convert) return convert;
  throw new WaybillError(
    'package_missing',
    'the text part of an email in html alone is made by html-to-text, which is not installed beside this bundle: give the email a text, or deploy node_modules/html-to-text',
  );
}

/** The greatest nesting of elements. The time for each grows with its depth, so deeper tags are removed. */
const maxDepth = 1_000;
const tag = /<(\/?)([A-Za-z][^\s<>/]*)/g;
const empty = new Set('area base br col embed hr img input link meta param source track wbr'.split(' '));

/** Removes the tags of elements nested deeper than that; their text stays. */
function shallow(html: string): string {
  let [depth, kept, end] = [0, '', 0];
  tag.lastIndex = 0;
  for (let match = tag.exec(html); match; match = tag.exec(html)) {
    const [, slash, name = ''] = match;
    if (empty.has(name.toLowerCase())) continue;
    depth = slash === '/' ? Math.max(0, depth - 1) : depth + 1;
    if (depth < maxDepth || (slash !== '/' && depth === maxDepth)) continue;
    const close = html.indexOf('>', tag.lastIndex);
    kept += html.slice(end, match.index);
    end = close === -1 ? html.length : close + 1;
    tag.lastIndex = end;
  }
  return kept + html.slice(end);
}

/** @returns undefined when the html holds no text */
export function plainText(html: string): string | undefined {
  const lines = converter()(shallow(html.slice(0, MAX_HTML)).toWellFormed()).split('\n');
  // A regular expression for blanks before a line's end would take quadratic time.
  const text = lines
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();
  return text === '' ? undefined : text.replaceAll('\0', '');
}
