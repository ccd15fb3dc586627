import { describe, expect, it } from 'vitest';
import { statementsOf } from '../../src/db/script.ts';

const lines = (text: string): [number, string][] =>
  statementsOf(text).map(({ line, text: its }) => [line, its]);

describe('the statements of a script', () => {
  it.each([
    [
      'select 1;\nselect 2',
      [
        [1, 'select 1'],
        [2, 'select 2'],
      ],
    ],
    [
      '\n\n  select 1;\n;;\nselect 2;',
      [
        [3, 'select 1'],
        [5, 'select 2'],
      ],
    ],
    [
      "select ';', 'it''s;', E'\\';', e'x\\\\';\nselect 2",
      [
        [1, "select ';', 'it''s;', E'\\';', e'x\\\\'"],
        [2, 'select 2'],
      ],
    ],
    [
      'select $$;$$, $a$ $$;$$ $a$;\nselect $1',
      [
        [1, 'select $$;$$, $a$ $$;$$ $a$'],
        [2, 'select $1'],
      ],
    ],
    [
      '-- a;\n/* b; /* c; */ d; */ select "x;y";\nselect 3-2 /* open;',
      [
        [2, 'select "x;y"'],
        [3, 'select 3-2'],
      ],
    ],
    [
      'create table the_end (e text, escaped text);\nselect 1',
      [
        [1, 'create table the_end (e text, escaped text)'],
        [2, 'select 1'],
      ],
    ],
    ['', []],
  ] as [string, [number, string][]][])('%j', (text, expected) => {
    expect(lines(text)).toEqual(expected);
  });

  it('is linear in the length of the text, whatever it holds', () => {
    for (const piece of [' ', "'", '"', '$$', '$a', '/*', '-', 'e', '\n', ';'])
      expect(statementsOf(piece.repeat(200_000)).length).toBeGreaterThanOrEqual(0);
  });
});
