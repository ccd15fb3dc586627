import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { decisions } from '../../src/email/decide.ts';

it('docs/email.md shows the decisions of the code, in their order', () => {
  const page = readFileSync(new URL('../../docs/email.md', import.meta.url), 'utf8');
  const part = page.split('## What becomes of a failure')[1]!.split('\n## ')[0]!;
  const rows = [...part.matchAll(/^\| (.+?) +\| (.+?) +\| (.+?) +\|$/gm)]
    .slice(1)
    .map(([, ...cells]) => cells);
  const stated = decisions.map(({ when, type, why, holdsQueue }) => [
    when,
    holdsQueue ? `${type}, for the whole queue` : type,
    why,
  ]);
  expect(rows.filter(([first]) => !first!.startsWith('---'))).toEqual(stated);
});
