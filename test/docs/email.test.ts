// docs/email.md and docs/email-apis.md show the decisions of the code, in their order, each with its source.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { decisions } from '../../src/email/decide.ts';
import type { Rule } from '../../src/email/rule.ts';

const read = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** The last table under a heading. */
function rowsUnder(page: string, heading: string): string[][] {
  const part = page.split(`\n## ${heading}\n`)[1]!.split('\n## ')[0]!;
  const rows = part
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('| -'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return rows.slice(1);
}

const kindOf = ({ type, holdsQueue }: Rule): string => (holdsQueue ? `${type}, for the whole queue` : type);

/** Providers whose rules stand on a page of their own and hold for no other. */
const apart = ['Postmark', 'SendGrid', 'Amazon SES', 'Mailgun'];
const isApart = ({ provider, stage }: Rule): boolean => stage === 'HTTP' && apart.includes(provider);

it('docs/email.md has the rules for every provider', () => {
  const stated = decisions
    .filter((rule) => !isApart(rule))
    .map((rule) => [rule.provider, rule.stage, rule.when, kindOf(rule), rule.why, rule.source]);
  expect(rowsUnder(read('email.md'), 'What becomes of a failure')).toEqual(stated);
});

it.each(apart)('docs/email-apis.md has the rules of %s, which come first', (name) => {
  const rules = decisions.filter((rule) => isApart(rule) && rule.provider === name);
  const stated = rules.map((rule) => [rule.when, kindOf(rule), rule.why, rule.source]);
  expect(stated.length).toBeGreaterThan(5);
  expect(rowsUnder(read('email-apis.md'), name)).toEqual(stated);
  expect(decisions.findIndex((rule) => !isApart(rule))).toBe(decisions.filter(isApart).length);
});
