// Every parser that outside input reaches takes time that grows with the input and no faster: 1 MB of blanks, line ends, quotes, brackets,
// letters and their mixtures against 100 kB of the same. Everything here is real; nothing is doubled.
//
// A new parser gets a row: what people would call it, and a function that hands it one text. test/pure/parsers.test.ts finds files in src
// that read texts with patterns or by splitting and stand neither here nor among those that only see our own texts.

import { describe, expect, test } from 'vitest';
import { growth, shapes } from '../support/linear.ts';
import { parsers } from '../support/parsers.ts';

describe.each(parsers)('$name', ({ read }) => {
  test('is linear', { timeout: 240_000 }, () => {
    const bad = shapes.flatMap((shape) => {
      const problem = growth(read, shape);
      return problem === undefined ? [] : [`${shape.name}: ${problem}`];
    });
    expect(bad).toEqual([]);
  });
});
