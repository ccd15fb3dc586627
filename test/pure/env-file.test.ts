import { parseEnv } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { namesIn, withoutVariable, withVariable } from '../../src/cli/env-file.ts';

const name = fc.constantFrom('PORT', 'LOG_LEVEL', 'WAYBILL_APP', 'SMTP_URL');
const line = fc.oneof(
  name.map((one) => `${one}=some value # a comment`),
  name.map((one) => `export ${one}='quoted'`),
  fc.constantFrom('# PORT=1', '', '  ', 'OTHER=1', 'not an assignment'),
);
const file = fc.array(line, { maxLength: 8 }).map((lines) => lines.map((one) => `${one}\n`).join(''));
/** What the configuration can hold: printable, without all three sorts of quotes at once. */
const value = fc
  .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 40 })
  .filter((text) => text.trim() === text && !["'", '`', '"'].every((quote) => text.includes(quote)))
  .filter((text) => !(text.includes("'") && text.includes('`') && text.includes('\\')));

describe('a .env file', () => {
  it('gives back what was set, as Node reads it, and leaves the other lines as they were', () => {
    fc.assert(
      fc.property(file, name, value, (text, one, given) => {
        const after = withVariable(text, one, given);
        expect(parseEnv(after)[one]).toBe(given);
        const others = (all: string): string[] =>
          all.split('\n').filter((l) => !namesIn(l).includes(one) && l !== '');
        expect(others(after)).toEqual(others(text));
        expect(namesIn(after)).toEqual([...new Set([...namesIn(text), one])]);
      }),
    );
  });

  it('loses what was taken out and nothing else', () => {
    fc.assert(
      fc.property(file, name, (text, one) => {
        const after = withoutVariable(text, one);
        expect(namesIn(after)).toEqual(namesIn(text).filter((other) => other !== one));
        expect(after.split('\n').filter((l) => l.startsWith('#'))).toEqual(
          text.split('\n').filter((l) => l.startsWith('#')),
        );
      }),
    );
  });
});
