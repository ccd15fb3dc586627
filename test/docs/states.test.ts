import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { transitions } from '../../src/outbox/transitions.ts';

it('docs/states.md tells the table of transitions, no more and no less', () => {
  const page = readFileSync(new URL('../../docs/states.md', import.meta.url), 'utf8');
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2); // without the head and its rule
  const cells = rows.map((row) => row.split('|').map((cell) => cell.trim()));
  const told = Object.fromEntries(
    cells.map(([, action, from, to]) => [action, { from: from!.split(', '), to: to!.split(', ') }]),
  );
  expect(told).toEqual(transitions);
});
