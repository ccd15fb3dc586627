// Options of commands that take several names.

import { expect, it } from 'vitest';
import { collectNames } from '../../src/cli/options.ts';

it('names are given behind commas, or by repetition, and none is empty', () => {
  expect(collectNames('email, slow', collectNames('jobs'))).toEqual(['jobs', 'email', 'slow']);
  for (const text of ['', ',', 'email,', 'email,,slow']) expect(() => collectNames(text)).toThrow(/empty/);
});
