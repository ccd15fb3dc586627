import { expect, it } from 'vitest';
import { createConflicts } from '../../src/delivery/failure.ts';

it('after twenty lost transactions of a message, each further one counts as an attempt', () => {
  const conflicts = createConflicts(() => 0.5);
  for (let i = 0; i < 20; i++) expect(conflicts.delayOf('one')).toBeGreaterThan(0);
  for (let i = 0; i < 3; i++) expect(conflicts.delayOf('one')).toBeUndefined();
  expect(conflicts.delayOf('another')).toBeGreaterThan(0);
});
