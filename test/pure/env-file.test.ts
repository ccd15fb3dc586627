import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv } from 'node:util';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { namesIn, withoutVariable, withVariable } from '../../src/cli/env-file.ts';
import { loadEnvFile } from '../../src/config/env-loading.ts';

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

describe('the .env file of the working directory', () => {
  const dir = mkdtempSync(join(tmpdir(), 'waybill-env-'));
  const path = join(dir, '.env');
  afterAll(() => rmSync(dir, { recursive: true }));
  writeFileSync(path, 'PORT=4000\nLOG_LEVEL=warn\nWAYBILL_APP=\n');

  it('gives what the environment does not have; an empty value is none', () => {
    const env: Record<string, string> = { PORT: '5000', LOG_LEVEL: '' };
    expect([...loadEnvFile(env, path).keys()].toSorted()).toEqual(['LOG_LEVEL', 'WAYBILL_APP']);
    expect(env).toEqual({ PORT: '5000', LOG_LEVEL: 'warn', WAYBILL_APP: '' });
  });

  it('is not read in production', () => {
    const env: Record<string, string> = { NODE_ENV: 'production' };
    expect(loadEnvFile(env, path).size).toBe(0);
    expect(env).toEqual({ NODE_ENV: 'production' });
  });

  it('is read by processes as by commands', async () => {
    writeFileSync(path, 'DATABASE_URL=postgres://u:p@127.0.0.1:1/x\nWAYBILL_CONCURRENCY=abc\n');
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const args = ['--import', fileURLToPath(import.meta.resolve('tsx')), `${root}workers/relay.ts`];
    const end = (env: Record<string, string>) =>
      spawnSync(process.execPath, args, {
        cwd: dir,
        env: { PATH: process.env['PATH'], ...env },
        encoding: 'utf8',
      });
    const read = end({});
    expect([read.status, read.stderr]).toEqual([78, expect.stringMatching(/WAYBILL_CONCURRENCY/)]);
    const unread = end({ NODE_ENV: 'production' });
    expect([unread.status, unread.stderr]).toEqual([78, expect.stringMatching(/DATABASE_URL: is required/)]);
  });
});
