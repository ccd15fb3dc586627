// How the documents are written: one word for one thing, sentences that can be read at once, pages that are not too long, a first line that says
// what the page is for.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../support/examples.ts';

const pages = globSync(['*.md', 'docs/**/*.md', 'deploy/**/*.md'], {
  cwd: root,
  exclude: ['docs/api/**'],
}).toSorted();
const guides = pages.filter((page) => /^docs\/[a-z-]+\.md$/.test(page));

/** Pages in which readers look things up, or follow one of many recipes. They may be long. */
const references = [
  'docs/errors.md',
  'docs/incidents.md',
  'docs/metrics.md',
  'docs/runbook.md',
  'docs/email.md',
];

/** Words for a thing that has another name: what to say instead. */
const others: readonly (readonly [RegExp, string])[] = [
  [/\blanes?\b/i, 'a queue at a priority'],
  [/\bparcels?\b/i, 'wake-up'],
  [/\bnudges?\b/i, 'notify, NOTIFY'],
  [/\b(gives?|gave|given|giving) back\b/i, 'release'],
  [/\bclaim(s|ed|ing)? ahead\b/i, 'prefetch'],
  [/\bgatekeepers?\b/i, 'a closed queue'],
  [/\bledgers?\b/i, 'audit counters'],
  [/\bfar side\b/i, 'provider, receiver, server'],
  [/\bthe one who\b|\bthose that\b|\bthose who\b/i, 'the name of the thing or the person'],
  [/\bhears? of\b|\bis told\b/i, 'learns, gets'],
];

/** The prose of a page: its paragraphs, list items and cells of tables, without code. */
function proseOf(text: string): string[] {
  const blocks = text
    .replaceAll(/^([ \t]*)```[\s\S]*?^\1```$/gm, '')
    .split(/\n\s*\n|\n(?=[ \t]*(?:[-*>#|]|\d+\.) ?)/)
    .flatMap((block) => (block.trimStart().startsWith('|') ? block.split('|') : [block]));
  return blocks.map((block) =>
    block
      .replaceAll(/\s+/g, ' ')
      .replaceAll(/`[^`]*`/g, 'code')
      .replaceAll(/\]\([^)]*\)/g, ']')
      .trim(),
  );
}

const mostWords = 40;

function longSentences(text: string): string[] {
  return proseOf(text)
    .flatMap((block) => block.split(/(?<=[.!?:;]["*_)]*)\s+/))
    .filter((sentence) => (sentence.match(/[\p{L}\p{N}’'-]+/gu) ?? []).length > mostWords);
}

const otherWords = (text: string): string[] =>
  proseOf(text).flatMap((block) =>
    others.flatMap(([pattern, word]) => (pattern.test(block) ? [`say ${word}: ${block.slice(0, 200)}`] : [])),
  );

const read = (page: string): string => readFileSync(join(root, page), 'utf8');

describe('the documents', () => {
  it.each(pages)('%s has no sentence of more than forty words', (page) => {
    expect(longSentences(read(page))).toEqual([]);
  });

  it.each(pages)('%s calls each thing by its one name', (page) => {
    expect(otherWords(read(page))).toEqual([]);
  });

  it.each(guides.filter((page) => !references.includes(page)))('%s can be read in one go', (page) => {
    expect(read(page).split('\n').length).toBeLessThan(290);
  });

  it.each(guides.filter((page) => page !== 'docs/README.md'))('%s says first what it is for', (page) => {
    const [title, first] = read(page).split(/\n\s*\n/);
    expect(title).toMatch(/^# \S/);
    expect(first).toMatch(/^(?!#|```|\||- )\S[\s\S]{30,}/);
  });
});

describe('what tests the documents', () => {
  it('finds a long sentence, in a paragraph, an item or a cell, and none in code', () => {
    const long = `${'word '.repeat(mostWords)}end.`;
    expect(longSentences(`# Title\n\nShort. ${long} Short.\n`)).toEqual([long]);
    expect(longSentences(`- item\n- ${long}\n`)).toHaveLength(1);
    expect(longSentences(`| a | ${long} |\n| - | - |\n`)).toEqual([long]);
    expect(longSentences(`\`\`\`\n${long}\n\`\`\`\n`)).toEqual([]);
    expect(longSentences(`${'word '.repeat(mostWords)}.\n`)).toEqual([]);
  });

  it('finds another word for a thing, across the end of a line, and none in code', () => {
    expect(otherWords('The worker gives\nback its claims.')).toHaveLength(1);
    expect(otherWords('The worker releases `gives back` its claims.')).toEqual([]);
  });
});
