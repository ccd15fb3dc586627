// Parses a body into a JSON object that Postgres can store unchanged. Other values are refused with their path.

import { WaybillError } from '../errors.ts';
import { pathText } from '../define/payload.ts';

const maxKeys = 10_000;
const maxDepth = 50;

/**
 * @param contentType the request's Content-Type
 * @throws WaybillError `unsupported_media_type`, `body_empty`, `body_not_utf8`, `body_not_json`, `body_not_object`, and those of `checkJson`
 */
export function parseBody(bytes: Buffer, contentType: string | undefined): Record<string, unknown> {
  checkMediaType(contentType);
  if (bytes.length === 0) refuse('body_empty', 'the body is empty; a JSON object is expected, {} at least');
  const value = parse(decode(bytes));
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    refuse(
      'body_not_object',
      `the body must be a JSON object, not ${value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`}`,
    );
  checkJson(value);
  return value as Record<string, unknown>;
}

function checkMediaType(contentType: string | undefined): void {
  if (contentType === undefined)
    refuse('unsupported_media_type', 'the body has no Content-Type: send it as application/json');
  const [type = '', ...parameters] = contentType
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  if (type !== 'application/json' && !/^application\/[a-z0-9.+-]+\+json$/.test(type))
    refuse('unsupported_media_type', 'the body must be application/json');
  const charset = parameters
    .find((part) => part.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '');
  if (charset !== undefined && !['utf-8', 'utf8', 'us-ascii'].includes(charset))
    refuse('body_not_utf8', 'the body must be in UTF-8, without another charset');
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return refuse('body_not_utf8', 'the body is not valid UTF-8');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // V8's message quotes the text, and a body may hold secrets. So keep only the position.
    const where =
      /at position \d+(?: \(line \d+ column \d+\))?/.exec((error as Error).message)?.[0] ??
      `at its end, position ${text.length}`;
    return refuse('body_not_json', `the body is not valid JSON ${where}`);
  }
}

/**
 * Refuses values that JSON.parse accepts but Postgres or a JavaScript number cannot hold.
 * @throws WaybillError `null_character`, `invalid_unicode`, `number_out_of_range`, `too_many_keys`, `too_deep`
 */
export function checkJson(root: unknown): void {
  let keys = 0;
  function check(value: unknown, path: readonly PropertyKey[]): void {
    if (typeof value === 'string') return checkText(value, path);
    if (typeof value === 'number') return checkNumber(value, path);
    if (typeof value !== 'object' || value === null) return;
    if (path.length === maxDepth) refuse('too_deep', `the body is nested more than ${maxDepth} deep`);
    for (const [key, inner] of Object.entries(value)) {
      keys += 1;
      if (keys > maxKeys) refuse('too_many_keys', `the body has more than ${maxKeys} keys and elements`);
      const at = [...path, Array.isArray(value) ? Number(key) : key];
      checkText(key, at);
      check(inner, at);
    }
  }
  check(root, []);
}

function checkText(text: string, path: readonly PropertyKey[]): void {
  if (text.includes('\0')) refuse('null_character', 'U+0000 cannot be stored', path);
  if (!text.isWellFormed()) refuse('invalid_unicode', 'half of a surrogate pair is no character', path);
}

/** JSON.parse turns 1e400 into Infinity and changes large whole numbers. */
function checkNumber(value: number, path: readonly PropertyKey[]): void {
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
    refuse('number_out_of_range', 'the number cannot be kept exactly; send it as a string', path);
}

/**
 * Refuses text in a decoded path or query that Postgres cannot store.
 * @throws WaybillError `null_character`, `invalid_unicode`
 */
export function checkTexts(texts: object): void {
  for (const [name, given] of Object.entries(texts) as [string, unknown][])
    for (const text of [name, given].flat()) if (typeof text === 'string') checkText(text, [name]);
}

function refuse(code: string, message: string, path?: readonly PropertyKey[]): never {
  if (path === undefined) throw new WaybillError(code, message);
  const shown = pathText(path).toWellFormed().replaceAll('\0', '\u2400').slice(0, 200);
  throw new WaybillError(code, `${shown}: ${message}`, [{ path: shown, message }]);
}
