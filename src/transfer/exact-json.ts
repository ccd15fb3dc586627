// Reads JSON without changing a number. JavaScript holds about 16 digits, and no number beyond 1.8e308: the number of another language or of Postgres
// may have more, and would be stored as another one.

import { pathText } from '../define/payload.ts';
import { isWaybillError, WaybillError } from '../errors.ts';

/** A text without such a run has no number that can change, so most texts are parsed once and without a reviver. */
const suspicious = /[\d.]{16}|\d[eE]/;

/**
 * @throws WaybillError `number_not_exact`
 * @throws SyntaxError it is no JSON
 */
export function parseExactly(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!suspicious.test(text)) return value;
  const inexact: { readonly holder: object; readonly key: string }[] = [];
  const revived: unknown = parse(text, function (this: object, key, its, context) {
    if (typeof its === 'number' && !isExact(context.source!)) inexact.push({ holder: this, key });
    return its;
  });
  if (inexact.length === 0) return value;
  const issues = inexact.slice(0, 5).map(({ holder, key }) => ({
    path: pathText([...(pathTo(revived, holder) ?? []), key].filter((part) => part !== '')),
    message: 'JavaScript cannot hold this number',
  }));
  throw new WaybillError(
    'number_not_exact',
    'a number of the payload would be stored as another one',
    issues,
  );
}

/**
 * The same, without an error that repeats a part of the text.
 * @throws WaybillError `payload_not_json`, `number_not_exact`
 */
export function parsePayload(text: string): unknown {
  try {
    return parseExactly(text);
  } catch (error) {
    if (isWaybillError(error)) throw error;
    throw new WaybillError('payload_not_json', 'the payload is no JSON');
  }
}

/** The same, where a number that JavaScript cannot hold keeps its text: JSON.stringify writes it as it was. @throws SyntaxError it is no JSON */
export function parseKeeping(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!suspicious.test(text)) return value;
  return parse(text, (_, its, { source }) =>
    typeof its === 'number' && !isExact(source!) ? raw.rawJSON(source!) : its,
  );
}

/** TypeScript does not know it yet. It is in Node from version 21 on. */
const raw = JSON as unknown as { rawJSON(text: string): unknown; isRawJSON(value: unknown): boolean };

/** Whether it is such a number. */
export const isRawNumber = (value: unknown): boolean => raw.isRawJSON(value);

/** TypeScript does not know the third argument yet. It is in Node from version 21 on. */
const parse = JSON.parse as (
  text: string,
  reviver: (this: object, key: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown;

const isExact = (source: string): boolean => digitsOf(source) === digitsOf(String(Number(source)));

/** A number as its digits without zeros at the ends, and the power of ten of the last: 1.50e3 is 15e2. */
function digitsOf(number: string): string | undefined {
  const [, sign, whole, fraction = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [];
  if (whole === undefined) return undefined;
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = withoutEndingZeros(digits);
  if (significant === '') return '0';
  const last = BigInt(power) - BigInt(fraction.length) + BigInt(digits.length - significant.length);
  return `${sign}${significant}e${last}`;
}

/** Not a pattern: /0+$/ begins anew at each zero of a long number. */
function withoutEndingZeros(digits: string): string {
  let end = digits.length;
  while (digits[end - 1] === '0') end--;
  return digits.slice(0, end);
}

function pathTo(value: unknown, holder: object): string[] | undefined {
  if (value === holder) return [];
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, its] of Object.entries(value)) {
    const path = pathTo(its, holder);
    if (path !== undefined) return [key, ...path];
  }
  return undefined;
}
