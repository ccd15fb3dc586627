// An application that ends the process, or never finishes, while it is loaded.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'waybill-load-'))));
afterAll(() => rmSync(folder, { recursive: true }));

type Ended = { readonly code: number; readonly stderr: string };

/** What a process says and answers that does nothing but load this module. */
function load(source: string): Promise<Ended> {
  const file = join(folder, 'app.mjs');
  writeFileSync(file, source);
  const loader = JSON.stringify(new URL('../../src/define/load.ts', import.meta.url).href);
  const program = `const { loadApp } = await import(${loader}); await loadApp(${JSON.stringify(file)});`;
  return new Promise((resolve) => {
    execFile(process.execPath, ['--input-type=module', '--eval', program], (error, _stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stderr }),
    );
  });
}

it.each([
  ['process.exit(0)', 1],
  ['process.exit(3)', 3],
  ['await new Promise(() => {})', 1],
])('a module that does %s is no success', async (source, code) => {
  const ended = await load(source);
  expect(ended.stderr).toContain('(app_ended_process)');
  expect(ended.code).toBe(code);
});

it('a module that throws passes its error on, and nothing is said of the process', async () => {
  const { code, stderr } = await load(`throw new Error('mine')`);
  expect({ code, mine: stderr.includes('mine'), said: stderr.includes('app_ended_process') }).toEqual({
    code: 1,
    mine: true,
    said: false,
  });
});
