import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const src = fileURLToPath(new URL('../../src/', import.meta.url));
const texts = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(src, file), 'utf8'));

const thrown = String.raw`(?:\b(?:WaybillError|AddressError|UsageError|RemoteError|MigrationError|refuse|problem|warning|insecure)\(\s*|\bcode: |\breadonly code = )`;
/** Codes as they stand in the sources: thrown, refused with, or in the value of a problem or a finding. */
const patterns = [
  new RegExp(`${thrown}'([a-z][a-z0-9_]*)'`, 'g'),
  /\bcode: [^,'\n]*\? '([a-z][a-z0-9_]*)' : '([a-z][a-z0-9_]*)'/g,
];
/** zod's word for a check of one's own, which carries our code beside it. */
const foreign = ['custom'];
/** Codes made of parts, by the text that makes them. */
const composed: Readonly<Record<string, readonly string[]>> = {
  'unknown_${kind}': ['unknown_event', 'unknown_job'],
  'invalid_${part}': [
    'invalid_status',
    'invalid_kind',
    'invalid_outcome',
    'invalid_cause',
    'invalid_act',
    'invalid_action',
    'invalid_state',
    'invalid_order',
    'invalid_by',
    'invalid_window',
  ],
  'must_be_${issue.expected}': ['must_be_string', 'must_be_object', 'must_be_array', 'must_be_record'],
};

function matchesOf(pattern: RegExp): string[] {
  return texts.flatMap((text) => [...text.matchAll(pattern)].flatMap(([, ...codes]) => codes));
}

function codesOfSources(): string[] {
  const found = new Set([...patterns.flatMap(matchesOf), ...Object.values(composed).flat()]);
  return [...found].filter((code) => !foreign.includes(code)).toSorted();
}

it('docs/errors.md names every error code once, and no other', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const named = [...page.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]!);
  expect(named.toSorted()).toEqual(codesOfSources());
});

it('codes made of parts are those known here', () => {
  const made = matchesOf(new RegExp(`${thrown}\`([^\`]*)\``, 'g'));
  expect(made.toSorted()).toEqual(Object.keys(composed).toSorted());
});
