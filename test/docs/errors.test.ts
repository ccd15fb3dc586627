import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const src = fileURLToPath(new URL('../../src/', import.meta.url));

/** Codes as they stand in the sources: thrown, refused with, or in the value of a problem or a finding. */
const patterns = [
  /(?:WaybillError|AddressError|UsageError|MigrationError)\(\s*'([a-z_]+)'/g,
  /\brefuse\(\s*'([a-z_]+)'/g,
  /\bcode: (?:[^,'\n]*\? )?'([a-z_]+)'(?: : '([a-z_]+)')?/g,
];
/** zod's word for a check of one's own, which carries our code beside it. */
const foreign = ['custom'];
/** Made of parts: `unknown_${kind}`, `invalid_${part}`. */
const composed = ['unknown_event', 'unknown_job', 'invalid_status'];

function codesOfSources(): string[] {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const texts = files.map((file) => readFileSync(join(src, file), 'utf8'));
  const found = texts.flatMap((text) =>
    patterns.flatMap((p) => [...text.matchAll(p)].flatMap(([, ...codes]) => codes.filter(Boolean))),
  );
  return [...new Set([...found, ...composed])].filter((code) => !foreign.includes(code)).toSorted();
}

it('docs/errors.md names every error code, and no other', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const named = [...page.matchAll(/^\| `([a-z_]+)`/gm)].map((match) => match[1]!);
  expect(named.toSorted()).toEqual(codesOfSources());
});
