// JSON is read without changing a number.

import { expect, it } from 'vitest';
import { parseExactly, parseKeeping } from '../../src/transfer/exact-json.ts';

it.each([
  '9007199254740991',
  '9007199254740992',
  '-1.50e3',
  '0.1',
  '1e21',
  '-0.0',
  '1.7976931348623157e308',
  '5e-324',
  '100000000000000000000',
  '[0.30000000000000004, {"a": 1.0, "b": "9007199254740993 and 1e400"}]',
])('%s is exact', (text) => expect(parseExactly(text)).toEqual(JSON.parse(text)));

it.each([
  ['{"a":{"id":9007199254740993}}', 'a.id'],
  ['{"list":[1,{"n":1e400}]}', 'list.1.n'],
  ['{"n":-1e400}', 'n'],
  ['{"n":1e-400}', 'n'],
  ['{"n":0.33333333333333333333}', 'n'],
  ['[123456789012345678901]', '0'],
])('%s is not: %s', (text, path) =>
  expect(() => parseExactly(text)).toThrow(
    expect.objectContaining({
      code: 'number_not_exact',
      issues: [{ path, message: 'JavaScript cannot hold this number' }],
    }) as Error,
  ),
);

it('what is no JSON is a SyntaxError', () => {
  expect(() => parseExactly('{"n":1e400')).toThrow(SyntaxError);
});

it.each(['{"id":9007199254740993,"a":[1e400,1.5,"1e400"]}', '{"a":1}', '9007199254740993'])(
  '%s keeps its numbers until it is written',
  (text) => expect(JSON.stringify(parseKeeping(text))).toBe(text),
);
