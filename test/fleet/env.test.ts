// `waybill check` and `env` as their users see them: real processes in folders of their own.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waybill as runWaybill, type Ended } from '../support/command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-env-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const waybill = (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
  runWaybill(args, env, folder);

function application(name: string, body: string): string {
  const file = join(folder, `${name}.ts`);
  const imports = `import { defineApp, defineAction, defineCron, defineEvent, defineJob } from '${root}src/index.ts';\nimport { z } from '${root}node_modules/zod/index.js';\n`;
  writeFileSync(file, `${imports}${body}\n`);
  return file;
}

const wrong = expect.objectContaining({ severity: 'problem' }) as object;

describe('check', () => {
  it('needs no database: a right application is 0, and an event that nobody hears is a warning', async () => {
    const app = application(
      'right',
      `export default defineApp({ events: [defineEvent({ name: 'e', payload: z.object({}) })] });`,
    );
    const { code, stdout } = await waybill(['check', '--json'], { WAYBILL_APP: app });
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      counts: { actions: 0, events: 1, cronJobs: 0 },
      findings: [{ code: 'event_unheard', severity: 'warning' }],
    });
    expect(code).toBe(0);
  });

  it.each([
    [
      'a double name',
      `const job = defineJob({ name: 'j', payload: z.object({}), handler: async () => undefined });\nexport default defineApp({ jobs: [job, job] });`,
      'app_invalid',
    ],
    [
      'a bad schedule',
      `export default defineApp({ cron: defineCron({ jobs: [{ name: 'c', schedule: '61 * * * *', action: 'none', args: {} }] }) });`,
      /_/,
    ],
    ['a module that throws', `throw new Error('no luck');`, 'app_failed'],
    ['a syntax error', `export default {\n a: 1\n b: 2\n};`, 'app_failed'],
  ])('%s is 3', async (_, body, findingCode) => {
    const app = application('wrong', body);
    const { code, stdout, stderr } = await waybill(['check', '--json'], { WAYBILL_APP: app });
    const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: { code: string }[] };
    expect([code, ok, findings]).toEqual([3, false, expect.arrayContaining([wrong])]);
    expect(findings[0]!.code).toMatch(findingCode);
    expect(stderr).not.toContain(' at ');
  });

  it('a wrong configuration is 3, with every problem', async () => {
    const app = application('fine', 'export default defineApp({});');
    const { code, stdout } = await waybill(['check'], {
      WAYBILL_APP: app,
      PORT: '3000abc',
      LOG_LEVEL: 'verbose',
    });
    expect(code).toBe(3);
    expect(stdout).toContain('PORT');
    expect(stdout).toContain('LOG_LEVEL');
  });
});

describe('env', () => {
  it('sets what it has checked, for its owner alone, and takes it out again', async () => {
    const file = join(folder, '.env');
    expect(await waybill(['env', 'set', 'WAYBILL_EMAIL_FROM', 'Shop <shop@example.test>'])).toMatchObject({
      code: 0,
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const key = 'k'.repeat(40);
    const told = await waybill(['env', 'set', 'WAYBILL_API_KEY', key]);
    expect(told.stdout + told.stderr).not.toContain(key);
    expect(readFileSync(file, 'utf8')).toBe(
      `WAYBILL_EMAIL_FROM='Shop <shop@example.test>'\nWAYBILL_API_KEY=${key}\n`,
    );
    const { stdout } = await waybill(['env', 'list', '--json'], {
      PORT: '4000',
      DATABASE_URL: 'postgres://a:geheim@b/c',
    });
    const { variables } = JSON.parse(stdout) as { variables: { name: string }[] };
    const of = (name: string) => variables.find((one) => one.name === name);
    expect(of('WAYBILL_EMAIL_FROM')).toMatchObject({ value: 'Shop <shop@example.test>', source: '.env' });
    expect(of('WAYBILL_API_KEY')).toMatchObject({ value: '(set)', source: '.env' });
    expect(of('PORT')).toMatchObject({ value: '4000', source: 'environment', default: '3000' });
    expect(stdout).not.toMatch(/geheim|kkkk/);
    expect(await waybill(['env', 'unset', 'WAYBILL_API_KEY'])).toMatchObject({ code: 0 });
    expect(readFileSync(file, 'utf8')).toBe(`WAYBILL_EMAIL_FROM='Shop <shop@example.test>'\n`);
    rmSync(file);
  });

  it.each([
    [['env', 'set', 'WAYBILL_LEESE', '5s'], 'unknown_variable', 'WAYBILL_LEASE'],
    [['env', 'set', 'WAYBILL_LEASE', 'soon'], 'invalid_value', 'duration'],
    [['env', 'set', 'PORT', ''], 'invalid_value', 'empty'],
  ])('%j is 2, and nothing is written', async (args, code, hint) => {
    const ended = await waybill(args);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining(code)]);
    expect(ended.stderr).toContain(hint);
    expect(() => readFileSync(join(folder, '.env'))).toThrow('ENOENT');
  });

  it('check reports what the processes would: 78', async () => {
    expect(await waybill(['env', 'check'])).toMatchObject({
      code: 78,
      stdout: expect.stringContaining('DATABASE_URL') as string,
    });
    const fine = await waybill(['env', 'check', '--json'], { DATABASE_URL: 'postgres://a@localhost/c' });
    expect([fine.code, JSON.parse(fine.stdout)]).toEqual([0, { ok: true, problems: [], warnings: [] }]);
  });
});
