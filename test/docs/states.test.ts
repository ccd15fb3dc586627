import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { transitions } from '../../src/message/transitions.ts';

it('docs/states.md tells the table of transitions, no more and no less', () => {
  const page = readFileSync(new URL('../../docs/states.md', import.meta.url), 'utf8');
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2); // without the head and its rule
  const cells = rows.map((row) => row.split('|').map((cell) => cell.trim()));
  const told = Object.fromEntries(
    cells.map(([, change, from, to, who]) => [change, { from: from!.split(', '), to: to!.split(', '), who }]),
  );
  const known = Object.entries(transitions).map(([change, { from, to, who }]) => [change, { from, to, who }]);
  expect(told).toEqual(Object.fromEntries(known));
});
