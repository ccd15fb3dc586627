// make, doctor and init as their users see them: the real command line in projects of their own.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/scaffold/finding.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { createProject, type Project } from '../support/project.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

let project: Project;
afterEach(() => project.remove());

const index = `import { defineApp } from 'waybill';\n\nexport default defineApp({});\n`;
const findingsOf = (stdout: string): Finding[] => (JSON.parse(stdout) as { findings: Finding[] }).findings;
const codesOf = (stdout: string): string[] => findingsOf(stdout).map(({ code }) => code);

describe('make', () => {
  it('makes each kind: it type-checks, its test passes, and doctor has nothing to say of the sources', async () => {
    project = createProject({ 'app/index.ts': index });
    for (const args of [
      ['action', 'orders.place'],
      ['event', 'order.placed'],
      ['listener', 'warehouse'],
      ['job', 'delete'],
      ['cron', 'nightly/clean-up'],
      ['listener', 'order-placed-again', '--event', 'order.placed'],
    ]) {
      const { code, stdout, stderr } = await project.waybill(['make', ...args]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(
        /^made: app\/[a-z-]+\.ts\nmade: app\/[a-z-]+\.test\.ts\nchanged: app\/index\.ts lists /,
      );
    }
    expect(await project.check()).toBe('');
    expect(await project.test()).toMatch(/6 passed/);
    const doctor = await project.waybill(['doctor', '--json'], { DATABASE_URL: database.url });
    expect({ code: doctor.code, codes: codesOf(doctor.stdout) }).toEqual({
      code: 0,
      codes: ['queue_unworked', 'queue_unworked'],
    });
  }, 200_000);

  it('imports as the module does, here from ../src/index.ts', async () => {
    project = createProject({ 'app/index.ts': index.replace(`'waybill'`, `'../src/index.ts'`) });
    const { stdout } = await project.waybill(['make', 'action', 'sum', '--json']);
    expect(JSON.parse(stdout)).toEqual({
      kind: 'action',
      name: 'sum',
      dryRun: false,
      made: ['app/sum.ts', 'app/sum.test.ts'],
      changed: ['app/index.ts'],
      notes: [],
    });
    expect(project.read('app/sum.test.ts')).toContain(`from '../src/testing.ts'`);
    expect(project.read('app/index.ts')).toContain(`import { sum } from './sum.ts';`);
    expect(await project.check()).toBe('');
  });

  it.each<[string, string[], number, RegExp]>([
    ['a name that leads elsewhere', ['job', '../x'], 2, /is no name for a job.*\(invalid_name_to_make\)/],
    ['an empty name', ['job', ''], 2, /invalid_name_to_make/],
    ['an unknown kind', ['jobb', 'x'], 2, /did you mean job\?/],
    ['no name', ['job'], 2, /missing required argument/],
    ['a listener without any event', ['listener', 'x'], 2, /no event is defined yet/],
    ['an event for a job', ['job', 'x', '--event', 'e'], 2, /event_without_listener/],
    ['a name that is taken', ['job', 'there'], 2, /there is job there already, in app\/there\.ts/],
    ['a file that is there', ['event', 'mine'], 1, /app\/mine\.ts is there already; nothing was written/],
    ['a test that is there', ['event', 'tested'], 1, /app\/tested\.test\.ts is there already/],
  ])('%s is refused, and nothing is written', async (_, args, exit, message) => {
    project = createProject({
      'app/index.ts': index,
      'app/there.ts': `import { defineJob } from 'waybill';\nexport const there = defineJob({ name: 'there' });\n`,
      'app/mine.ts': 'mine',
      'app/tested.test.ts': 'mine',
    });
    const { code, stdout, stderr } = await project.waybill(['make', ...args]);
    expect({ code, stdout }).toEqual({ code: exit, stdout: '' });
    expect(stderr).toMatch(message);
    expect(project.read('app/index.ts')).toBe(index);
    expect([project.read('app/mine.ts'), project.read('app/tested.test.ts')]).toEqual(['mine', 'mine']);
    for (const file of ['x', 'x.test', 'tested', 'mine.test'])
      expect(project.has(`app/${file}.ts`)).toBe(false);
  });

  it('a module that is not understood: the lines to add, and no file', async () => {
    const text = `import { defineApp } from 'waybill';\nconst all = [];\nexport default defineApp({ jobs: [...all] });\n`;
    project = createProject({ 'app/index.ts': text });
    const { code, stderr } = await project.waybill(['make', 'job', 'late']);
    expect(code).toBe(1);
    expect(stderr).toContain(`  import { late } from './late.js';\n  in defineApp: jobs: [ …, late]`);
    expect([project.read('app/index.ts'), project.has('app/late.ts')]).toEqual([text, false]);
  });

  it('--dry-run writes nothing', async () => {
    project = createProject({ 'app/index.ts': index });
    const { code, stdout } = await project.waybill(['make', 'job', 'late', '--dry-run']);
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('would be made: app/late.ts'),
    });
    expect([project.read('app/index.ts'), project.has('app/late.ts')]).toEqual([index, false]);
  });
});

const forgotten = `import { z } from 'zod';
import { defineAction, defineEvent, defineJob, defineListener } from 'waybill';

export const happened = defineEvent({ name: 'happened', payload: z.object({}) });
export const hear = defineListener({ name: 'hear', event: happened, async handler() {} });
export const work = defineJob({ name: 'work', payload: z.object({}), async handler() {} });
export const act = defineAction({
  name: 'act',
  access: 'system',
  args: z.strictObject({}),
  async handler(ctx) {
    await ctx.events.record(happened, {});
  },
});
`;

describe('doctor', () => {
  it('tells what is not registered and not declared, and mends it; the database is a finding', async () => {
    project = createProject({ 'app/index.ts': index, 'app/forgotten.ts': forgotten });
    const nobody = { DATABASE_URL: 'postgres://u:geheim@127.0.0.1:1/none' };
    const before = await project.waybill(['doctor', '--json'], nobody);
    expect(before.code).toBe(3);
    expect(codesOf(before.stdout)).toEqual([
      ...Array<string>(4).fill('definition_unregistered'),
      'event_undeclared',
      'database_unreachable',
    ]);
    expect(findingsOf(before.stdout)[2]).toMatchObject({
      severity: 'problem',
      file: 'app/forgotten.ts',
      line: 6,
    });
    expect(project.read('app/index.ts')).toBe(index);
    const fixed = await project.waybill(['doctor', '--fix', '--json'], nobody);
    expect(codesOf(fixed.stdout)).toEqual(['database_unreachable']);
    expect((JSON.parse(fixed.stdout) as { fixed: string[] }).fixed).toHaveLength(5);
    expect(project.read('app/forgotten.ts')).toContain('  emits: [happened],\n  async handler(ctx) {');
    expect(await project.check()).toBe('');
    expect(fixed.stdout).not.toContain('geheim');
    const again = await project.waybill(['doctor', '--fix', '--json'], { DATABASE_URL: database.url });
    expect({ code: again.code, codes: codesOf(again.stdout) }).toEqual({
      code: 0,
      codes: ['queue_unworked', 'queue_unworked'],
    });
  });

  it('takes a fix back with which the application would not load', async () => {
    const hidden = forgotten.replace('export const happened', 'const happened');
    project = createProject({ 'app/index.ts': index, 'app/forgotten.ts': hidden });
    const { code, stdout } = await project.waybill(['doctor', '--fix', '--json'], {
      DATABASE_URL: database.url,
    });
    expect(code).toBe(3);
    expect(codesOf(stdout)[0]).toBe('fix_undone');
    expect([project.read('app/index.ts'), project.read('app/forgotten.ts')]).toEqual([index, hidden]);
  });

  it('tells what waits for nobody, in which states it may, and leaves the database alone', async () => {
    project = createProject({ 'app/index.ts': index });
    const other = await testDatabase();
    try {
      await other.db.executeSql(
        `select waybill.enqueue('job', 'gone', '{}'), waybill.enqueue('event', 'lost', '{}')`,
      );
      await other.db.executeSql(`update waybill.outbox_messages set relayed_at = now() where name = 'lost'`);
      const { code, stdout } = await project.waybill(['doctor', '--fix', '--json'], {
        DATABASE_URL: other.url,
        NODE_ENV: 'production',
      });
      expect(code).toBe(3);
      expect(codesOf(stdout)).toEqual([
        'key_missing',
        'key_missing',
        'message_unknown',
        'message_unknown',
        'email_not_sent',
      ]);
      expect(stdout).toMatch(/at least 1 of event lost wait[^]*at least 1 of job gone wait/);
    } finally {
      await other.end();
    }
  });

  it('tells of queues that nobody works, of events that nobody hears, and of more processes than connections', async () => {
    const jobs = `['jobs', 'slow'].map((queue) => defineJob({ name: queue, queue, payload: z.object({}), async handler() {} }))`;
    const heard = `defineEvent({ name: 'unheard', payload: z.object({}) })`;
    project = createProject({
      'app/index.ts': `import { z } from 'zod';\nimport { defineApp, defineEvent, defineJob } from 'waybill';\nexport default defineApp({ events: [${heard}], jobs: ${jobs} });\n`,
    });
    const other = await testDatabase();
    try {
      await other.db
        .executeSql(`insert into waybill.processes (id, role, host, pid, version, queues, heartbeat_at)
        select 'p' || i, 'jobs', 'h', i, '1', '{jobs}'::text[], now() from generate_series(1, 1000) i
        union all select 'gone', 'jobs', 'h', 1, '1', '{slow}'::text[], now() - interval '1 hour'`);
      const { code, stdout } = await project.waybill(['doctor', '--json'], { DATABASE_URL: other.url });
      expect({ code, codes: codesOf(stdout) }).toEqual({
        code: 0,
        codes: ['event_unheard', 'queue_unworked', 'connections_scarce'],
      });
      expect(stdout).toMatch(/1000 processes may open 22000 connections in all \(1000 jobs with up to 22\)/);
      expect(stdout).toMatch(/no running process works the queue slow of job slow"/);
    } finally {
      await other.end();
    }
  });

  it('an empty database, sslmode and a broken source: each has its finding', async () => {
    project = createProject({ 'app/index.ts': index, 'app/broken.ts': 'export const = 1;\n' });
    const empty = await testDatabase({ migrated: false });
    try {
      const { code, stdout } = await project.waybill(['doctor', '--json'], { DATABASE_URL: empty.url });
      expect({ code, codes: codesOf(stdout) }).toEqual({
        code: 3,
        codes: ['source_unreadable', 'migrations_pending'],
      });
      const strict = await project.waybill(['doctor'], { DATABASE_URL: `${empty.url}?sslmode=require` });
      expect(strict.stdout).toMatch(/warning: sslmode=require.*\(sslmode_strict\)/);
      const none = await project.waybill(['doctor', '--json']);
      expect(codesOf(none.stdout)).toEqual(['source_unreadable', 'configuration_wrong']);
    } finally {
      await empty.end();
    }
  });
});

describe('init', () => {
  it('adds what is missing, overwrites nothing, and has nothing to do the second time', async () => {
    const manifest = `{\n\t"type": "module", "files": ["a", "b"],\n\t"scripts": {\n\t\t"waybill": "mine"\n\t}\n}\n`;
    project = createProject({ 'package.json': manifest, Procfile: 'web: node server.js' });
    const dry = await project.waybill(['init', '--dry-run']);
    expect(dry).toMatchObject({ code: 0, stdout: expect.stringContaining('would be made: app/index.ts') });
    expect(project.has('app/index.ts')).toBe(false);
    const first = await project.waybill(['init']);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(
      /made: app\/index\.ts\nadded: Procfile \(release, relay, email, jobs, scheduler\)\nmade: \.env\.example/,
    );
    expect(project.read('package.json')).toContain(
      `"files": ["a", "b"],\n\t"scripts": {\n\t\t"waybill": "mine",\n\t\t"waybill:release"`,
    );
    expect(JSON.parse(project.read('package.json'))).toMatchObject({
      scripts: { waybill: 'mine', 'waybill:release': 'waybill release' },
    });
    expect(project.read('Procfile')).toMatch(
      /^web: node server\.js\nrelease: node node_modules\/waybill\/dist\/cli\/main\.js release\n/,
    );
    expect(project.read('Procfile')).not.toContain('npx'); // it keeps SIGTERM to itself
    expect(await project.check()).toBe('');
    const doctor = await project.waybill(['doctor', '--json'], { DATABASE_URL: database.url });
    expect({ code: doctor.code, codes: codesOf(doctor.stdout) }).toEqual({
      code: 0,
      codes: ['queue_unworked'],
    });
    const all = ['package.json', 'Procfile', '.env.example', 'app/index.ts', 'app/greet.ts'];
    const before = all.map((file) => project.read(file));
    const second = await project.waybill(['init']);
    expect(second.stdout).toContain('there is nothing to do');
    expect(all.map((file) => project.read(file))).toEqual(before);
  });

  it.each<[string, string, RegExp]>([
    ['package.json that is no JSON', '{', /package\.json cannot be read.*\(invalid_package_json\)/],
    ['package.json that is no object', '[]', /invalid_package_json/],
    ['scripts that are none', '{ "scripts": 1 }', /its scripts are no object/],
  ])('%s: 2, and nothing is written', async (_, manifest, message) => {
    // In a folder below: Node itself stops at a working directory with a broken package.json.
    project = createProject({ 'shop/package.json': manifest });
    const { code, stdout, stderr } = await project.waybill(['init', 'shop']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect([project.has('shop/app'), project.has('shop/Procfile')]).toEqual([false, false]);
  });

  it('makes a project where there is none, in a folder that need not exist', async () => {
    project = createProject();
    const { code, stdout } = await project.waybill(['init', 'My Shop']);
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/made: My Shop\/package\.json[\s\S]*next: cd My Shop/) as string,
    });
    expect(JSON.parse(project.read('My Shop/package.json'))).toMatchObject({
      name: 'my-shop',
      type: 'module',
      scripts: { dev: 'waybill dev' },
    });
    expect(project.read('My Shop/app/index.ts')).toContain(`from './greet.ts'`);
    expect(project.read('My Shop/.gitignore')).toContain('node_modules/');
    const file = await project.waybill(['init', 'My Shop/package.json']);
    expect(file).toMatchObject({ code: 2, stderr: expect.stringContaining('(invalid_dir)') as string });
  });

  it('leaves files of the example’s names alone', async () => {
    project = createProject({ 'package.json': '{}', 'app/greet.ts': 'export const mine = 1;\n' });
    await project.waybill(['init']);
    expect(project.read('app/greet.ts')).toBe('export const mine = 1;\n');
    expect(project.read('app/index.ts')).toContain('defineApp({})');
    expect(JSON.parse(project.read('package.json'))).toHaveProperty('scripts.waybill', 'waybill');
  });
});
