import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { decisions } from '../../src/email/decide.ts';

it('docs/email.md shows the decisions of the code, in their order, each with its source', () => {
  const page = readFileSync(new URL('../../docs/email.md', import.meta.url), 'utf8');
  const part = page.split('## What becomes of a failure')[1]!.split('\n## ')[0]!;
  const rows = part
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('| -'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const stated = decisions.map(({ provider, stage, when, type, why, holdsQueue, source }) => [
    provider,
    stage,
    when,
    holdsQueue ? `${type}, for the whole queue` : type,
    why,
    source,
  ]);
  expect(rows.slice(1)).toEqual(stated);
});
