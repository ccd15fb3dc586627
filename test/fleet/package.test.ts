import { once } from 'node:events';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresOutbox } from '../../src/index.ts';
import { installPackage, type Consumer } from '../support/consumer.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { libraryExample, withDatabase } from '../support/library.ts';
import { until } from '../support/wait.ts';

// What a user of the package does with it, in an empty ESM project outside of this repository.

const root = fileURLToPath(new URL('../../', import.meta.url));

let project: Consumer;
let database: TestDatabase;
beforeAll(async () => {
  [project, database] = await Promise.all([
    installPackage(['pg', 'zod', '@types/node']),
    testDatabase({ migrated: false }),
  ]);
}, 400_000);
afterAll(async () => {
  await database.end();
  project.end();
});

describe('the package', () => {
  it("runs the README's library example as it stands", async () => {
    const { code, output } = libraryExample();
    // In a package as `npm init -y` makes it. The page says `library.mts`.
    project.write(
      'fresh/package.json',
      JSON.stringify({ name: 'fresh', version: '1.0.0', type: 'commonjs' }),
    );
    project.write('fresh/library.mts', code);
    const ran = await withDatabase((env) => project.run('node', ['fresh/library.mts'], env));
    expect(ran).toEqual({ code: 0, stdout: output, stderr: '' });
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain('node library.mts');
  });

  it('holds the compiled sources with their types, the migrations, and nothing else', () => {
    const sources = globSync('**/*.ts', { cwd: join(root, 'src') }).map((file) => file.replace(/\.ts$/, ''));
    const compiled = sources.flatMap((file) => [`dist/${file}.d.ts`, `dist/${file}.js`]);
    const migrations = globSync('*.sql', { cwd: join(root, 'sql') }).map((file) => `sql/${file}`);
    const beside = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
    expect(project.packed.toSorted()).toEqual([...compiled, ...migrations, ...beside].toSorted());
  });

  it('is what `npm publish` would send: small, and without a path of the machine that built it', async () => {
    const dry = await project.run('npm', ['publish', '--dry-run', '--json', project.tarball]);
    const { waybill: sent } = JSON.parse(dry.stdout) as {
      waybill: { size: number; unpackedSize: number; entryCount: number };
    };
    expect(sent.entryCount).toBe(project.packed.length);
    expect(sent.size).toBeLessThan(1_200_000);
    expect(sent.unpackedSize).toBeLessThan(4_500_000);
    const at = join(project.dir, 'node_modules/waybill');
    const naming = globSync('**/*.{js,ts,json,md}', { cwd: at }).filter((file) =>
      readFileSync(join(at, file), 'utf8').includes(root),
    );
    expect(naming).toEqual([]);
  });

  it('brings no package that is only for development, none that installs by a script, and few', () => {
    const path = join(project.dir, 'node_modules/.package-lock.json');
    const { packages } = JSON.parse(readFileSync(path, 'utf8')) as {
      packages: Record<string, { readonly hasInstallScript?: boolean }>;
    };
    const names = Object.keys(packages).map((name) => name.replace(/^.*node_modules\//, ''));
    // Beside pg, zod and the types of Node; docs/dependencies.md has the figure.
    expect(names.length).toBeLessThanOrEqual(100);
    expect(names.filter((name) => /^(tsx|esbuild|typescript|vitest|@babel|smtp-server)/.test(name))).toEqual(
      [],
    );
    expect(Object.entries(packages).filter(([, one]) => one.hasInstallScript)).toEqual([]);
  });

  it('`waybill/testing` runs an action without Postgres, and says which packages its mail server needs', async () => {
    project.write('testing.mjs', tested);
    const ran = await project.run('node', ['testing.mjs']);
    expect(ran).toEqual({ code: 0, stdout: 'package_missing\n1 message, {"ok":true}\n', stderr: '' });
  });
});

describe('beside other versions and tools', () => {
  it('the oldest zod and pg that it takes: one copy of zod, the types hold, the example runs', async () => {
    const oldest = await project.another('oldest', [
      'zod@4.1.0',
      'pg@8.11.0',
      '@types/pg@8.11.0',
      '@types/node',
    ]);
    const copies = globSync('**/node_modules/zod/package.json', { cwd: oldest.dir });
    expect(copies).toEqual([join('node_modules', 'zod', 'package.json')]);
    const { code, output } = libraryExample();
    oldest.write('library.ts', code);
    oldest.write('library.mjs', code);
    const compilerOptions = {
      target: 'ES2023',
      module: 'NodeNext',
      moduleResolution: 'NodeNext',
      strict: true,
      noEmit: true,
      skipLibCheck: false,
      types: ['node'],
    };
    oldest.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['library.ts'] }));
    const checked = await oldest.run(join(root, 'node_modules/.bin/tsc'), ['-p', '.']);
    expect(checked).toEqual({ code: 0, stdout: '', stderr: '' });
    const ran = await withDatabase((env) => oldest.run('node', ['library.mjs'], env));
    expect(ran).toEqual({ code: 0, stdout: output, stderr: '' });
  });

  it.each([
    ['ESM', 'esm', 'mjs', 'package_missing\n'],
    ['CommonJS', 'cjs', 'cjs', ''], // there packages are found from the working directory, the project
  ])('bundled by esbuild into one %s file that lies alone', async (_, format, ending, refused) => {
    const file = `bundle-${format}.mjs`;
    project.write(file, bundled);
    const alone = join(project.dir, '..', `alone-${format}`);
    const banner = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;
    const built = await project.run(join(root, 'node_modules/.bin/esbuild'), [
      file,
      '--bundle',
      '--platform=node',
      '--log-level=warning',
      `--format=${format}`,
      `--outfile=${join(alone, `bundle.${ending}`)}`,
      ...(format === 'esm' ? [`--banner:js=${banner}`] : []),
    ]);
    expect(built).toEqual({ code: 0, stdout: '', stderr: '' });
    const ran = await withDatabase((env) => project.run('node', [join(alone, `bundle.${ending}`)], env));
    expect(ran).toEqual({ code: 0, stdout: `ran\n1 delivered\n${refused}`, stderr: '' });
  });

  it('on a Node that is too old it says so in one sentence', async () => {
    const old = await project.another('old-node', [
      'pg',
      'zod',
      `node-${process.platform}-${process.arch}@20.20.2`,
    ]);
    const node = join(old.dir, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
    old.write('library.mjs', libraryExample().code);
    for (const file of ['library.mjs', 'node_modules/waybill/dist/cli/main.js']) {
      const ran = await old.run(node, [file, '--help']);
      expect(ran.code).toBe(1);
      expect(ran.stderr).toMatch(/Error: Waybill needs Node 22\.12 or later .* this is Node 20\.20\.2\./);
    }
  });

  it('under Bun: a fleet that delivers and stops on SIGTERM', async () => {
    const cpu = process.arch === 'arm64' ? 'aarch64' : process.arch;
    const bun = `@oven/bun-${process.platform}-${cpu}`;
    const bunny = await project.another('bun', ['pg', 'zod', `${bun}@1.4.5`]);
    for (const [path, text] of Object.entries(application)) bunny.write(path, text);
    const command = join(bunny.dir, 'node_modules', bun, 'bin/bun');
    const fresh = await testDatabase({ migrated: false });
    const env = { DATABASE_URL: fresh.url, WAYBILL_APP: 'app/index.ts', LOG_LEVEL: 'warn' };
    const main = 'node_modules/waybill/dist/cli/main.js';
    expect(await bunny.run(command, [main, 'release', '--json'], env)).toMatchObject({ code: 0 });
    const running = bunny.start(command, [main, 'run', 'relay', 'jobs', 'scheduler'], env);
    const said: string[] = [];
    for (const stream of [running.stdout!, running.stderr!])
      stream.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    const exit = once(running, 'exit');
    const { id } = await createPostgresOutbox(fresh.db).enqueue({
      kind: 'job',
      name: 'look',
      queue: 'jobs',
      payload: { colour: 'green' },
    });
    const sql = 'select from waybill.outbox_messages where id = $1 and status = $2';
    await until(async () => (await fresh.db.executeSql(sql, [id, 'delivered'])).rows.length === 1, {
      timeoutMs: 45_000,
      what: `a delivery; the processes said ${said.join('')}`,
    });
    running.kill('SIGTERM');
    expect(await exit, said.join('')).toEqual([0, null]);
    await fresh.end();
  });
});

describe('its command line', () => {
  it('`npx waybill --help` lists the commands', async () => {
    const { code, stdout } = await project.run('npx', ['waybill', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Usage: waybill[\s\S]*migrate/);
  });

  it.each([
    ['doctor', 3, ['doctor']],
    ['check', 3, ['check']],
    ['a process that sends', 1, ['run', 'email']],
  ])('%s says which package the provider ses needs', async (_, code, args) => {
    const fresh = await testDatabase();
    project.write('plain.mjs', `import { defineApp } from 'waybill';\nexport default defineApp({});\n`);
    const ran = await project.run('npx', ['waybill', ...args], {
      DATABASE_URL: fresh.url,
      WAYBILL_APP: 'plain.mjs',
      WAYBILL_EMAIL_PROVIDER: 'ses',
      WAYBILL_EMAIL_FROM: 'shop@example.test',
      AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      AWS_REGION: 'eu-west-1',
    });
    await fresh.end();
    expect([ran.code, ran.stdout + ran.stderr]).toEqual([
      code,
      expect.stringContaining('npm install aws4fetch'),
    ]);
    expect(ran.stdout + ran.stderr).not.toContain('wJalrXUtnFEMI');
  });

  it('`npx waybill migrate` finds its migrations and applies each once', async () => {
    const env = { DATABASE_URL: database.url };
    const first = await project.run('npx', ['waybill', 'migrate', '--json'], env);
    expect(first).toMatchObject({ code: 0 });
    const { applied } = JSON.parse(first.stdout) as { applied: string[] };
    expect(applied).toEqual(readdirSync(join(root, 'sql')).map((file) => `waybill/${file}`));
    const second = await project.run('npx', ['waybill', 'migrate'], env);
    expect(second.stdout).toBe('nothing to apply\n');
  });

  it('runs an application whose TypeScript Node itself can load, also in a package of type commonjs', async () => {
    for (const type of ['module', 'commonjs']) {
      const folder = `plain-${type}`;
      project.write(`${folder}/package.json`, JSON.stringify({ type }));
      for (const [file, text] of Object.entries(plain)) project.write(`${folder}/${file}`, text);
      const name = `plain-${type}`;
      const outbox = createPostgresOutbox(database.db);
      await outbox.enqueue({ kind: 'job', name, queue: 'jobs', payload: { colour: 'green' } });
      const env = { DATABASE_URL: database.url, WAYBILL_APP: `${folder}/index.ts`, COLOUR_JOB: name };
      const drained = await project.run('npx', ['waybill', 'outbox', 'drain', '--json'], env);
      expect(JSON.parse(drained.stdout || drained.stderr)).toMatchObject({ claimed: 1, delivered: 1 });
    }
  });

  it('runs an application in TypeScript with enums, decorators and path aliases', async () => {
    for (const [path, text] of Object.entries(application)) project.write(path, text);
    const env = { DATABASE_URL: database.url, WAYBILL_APP: 'app/index.ts', LOG_LEVEL: 'warn' };
    const waybill = join(project.dir, 'node_modules/.bin/waybill');
    const without = await project.run(waybill, ['release'], env);
    expect(without).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/npm install tsx.*\(typescript_unsupported\)/) as string,
    });
    await project.add('tsx');
    const released = await project.run(waybill, ['release', '--json'], env);
    expect(JSON.parse(released.stdout)).toMatchObject({ applied: ['app/0001_seen.sql'] });
    const running = project.start(waybill, ['run', 'relay', 'jobs'], env);
    const said: string[] = [];
    running.stdout!.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    running.stderr!.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    const exit = once(running, 'exit');
    const outbox = createPostgresOutbox(database.db);
    const [seen, refused] = await outbox.enqueue([
      { kind: 'job', name: 'look', queue: 'jobs', payload: { colour: 'green' } },
      { kind: 'job', name: 'look', queue: 'jobs', payload: { colour: 'red' } },
    ]);
    const sql =
      'select id, status, last_error as error from waybill.outbox_messages where id in ($3, $4) and status in ($1, $2)';
    const rows = await until(
      async () => {
        const ended = await database.db.executeSql<{ id: string }>(sql, [
          'delivered',
          'dead',
          seen!.id,
          refused!.id,
        ]);
        return ended.rows.length === 2 && ended.rows;
      },
      { timeoutMs: 45_000, what: `two ended messages; the processes said ${said.join('')}` },
    );
    running.kill('SIGTERM');
    expect(await exit, said.join('')).toEqual([0, null]);
    expect(rows.find(({ id }) => id === seen!.id)).toMatchObject({ status: 'delivered' });
    // A PermanentError of the application is one for the engine too: both see the same module.
    expect(rows.find(({ id }) => id === refused!.id)).toMatchObject({
      status: 'dead',
      error: 'red is no good',
    });
    const found = await database.db.executeSql('select colour, decorated from seen');
    expect(found.rows).toEqual([{ colour: 'GREEN', decorated: 'by a decorator' }]);
  });

  it('make and outbox drain take a module of defineOutboxRegistry', async () => {
    project.write(
      'registry/index.ts',
      `import { defineOutboxRegistry } from 'waybill';\nexport default defineOutboxRegistry({});\n`,
    );
    const env = { DATABASE_URL: database.url, WAYBILL_APP: 'registry/index.ts' };
    const waybill = (...args: string[]) => project.run('npx', ['waybill', ...args], env);
    expect(await waybill('make', 'job', 'wrap')).toMatchObject({ code: 0 });
    const made = readFileSync(join(project.dir, 'registry/index.ts'), 'utf8');
    expect(made).toContain('defineOutboxRegistry({ jobs: [wrap] })');
    expect(await waybill('make', 'cron', 'nightly')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('takes no cron') as string,
    });
    expect(await waybill('outbox', 'drain', '--json')).toMatchObject({ code: 0 });
  });

  it('drains with an application in TypeScript that is CommonJS', async () => {
    project.write('common/package.json', '{ "type": "commonjs" }');
    project.write('common/colour.ts', application['app/colour.ts']);
    project.write('common/index.ts', common);
    const outbox = createPostgresOutbox(database.db);
    const { id } = await outbox.enqueue({ kind: 'job', name: 'refuse', queue: 'jobs', payload: {} });
    const env = { DATABASE_URL: database.url, WAYBILL_APP: 'common/index.ts' };
    const drained = await project.run(
      'npx',
      ['waybill', 'outbox', 'drain', '--batch-size', '10', '--json'],
      env,
    );
    expect(JSON.parse(drained.stdout || drained.stderr)).toMatchObject({ claimed: 1, dead: 1 });
    const sql = 'select last_error as error from waybill.outbox_messages where id = $1';
    expect((await database.db.executeSql(sql, [id])).rows).toEqual([{ error: 'no RED' }]);
  });

  it('init, make and doctor --fix work from the package', async () => {
    const env = { DATABASE_URL: database.url, WAYBILL_APP: 'shop/index.ts' };
    const waybill = (...args: string[]) => project.run('npx', ['waybill', ...args], env);
    expect(await waybill('init')).toMatchObject({ code: 0 });
    expect(await waybill('make', 'job', 'pack')).toMatchObject({ code: 0 });
    const pack = `import { defineJob } from 'waybill';\nimport { z } from 'zod';\nexport const late = defineJob({ name: 'late', payload: z.object({}), async handler() {} });\n`;
    project.write('shop/late.ts', pack);
    expect(await waybill('doctor')).toMatchObject({ code: 3 });
    const fixed = await waybill('doctor', '--fix', '--json');
    expect(JSON.parse(fixed.stdout || fixed.stderr)).toMatchObject({
      fixed: ['mended: shop/late.ts: job late is defined but not registered'],
    });
    expect(fixed.stdout).not.toContain('definition_unregistered');
  });

  it('the Procfile that init writes starts processes that SIGTERM ends', async () => {
    const fresh = await testDatabase({ migrated: false });
    const env = { DATABASE_URL: fresh.url, WAYBILL_APP: 'shop/index.ts' };
    const lines = readFileSync(join(project.dir, 'Procfile'), 'utf8').trim().split('\n');
    const commandOf = (name: string) =>
      lines
        .find((line) => line.startsWith(`${name}: `))!
        .slice(name.length + 2)
        .split(' ');
    const [node, ...release] = commandOf('release');
    expect(await project.run(node!, release, env)).toMatchObject({ code: 0 });
    const relay = project.start(node!, commandOf('relay').slice(1), env);
    const exit = once(relay, 'exit');
    await until(async () => (await fresh.db.executeSql('select from waybill.processes')).rows.length === 1, {
      timeoutMs: 45_000,
      what: 'a relay that reports itself',
    });
    relay.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
    await fresh.end();
  });

  it('startTestFleet delivers with the compiled package', async () => {
    project.write('fleet.mjs', fleeting);
    const ran = await project.run('node', ['fleet.mjs'], { DATABASE_URL: database.url });
    expect(ran).toMatchObject({ code: 0, stdout: '1 more\n' });
  });
});

/** Imports as TypeScript resolves them: by `.js`, by nothing, and by the folder. */
const plain = {
  'colour.ts': `export type Colour = 'green' | 'red';\nexport const colours = ['green', 'red'] as const satisfies Colour[];\n`,
  'jobs/index.ts': `
    import { defineJob } from 'waybill';
    import { z } from 'zod';
    import { colours, type Colour } from '../colour.js';
    export const look = defineJob({
      name: process.env.COLOUR_JOB!,
      payload: z.object({ colour: z.enum(colours) }),
      async handler(_, { colour }: { colour: Colour }): Promise<void> { console.error(colour); },
    });`,
  'index.ts': `
    import { defineApp } from 'waybill';
    import { look } from './jobs';
    export default defineApp({ jobs: [look] });`,
};

const bundled = `
import pg from 'pg';
import { z } from 'zod';
import {
  createPostgresOutbox, createPostgresOutboxSetupStatements, defineJob, defineOutboxRegistry, drainOutbox, enqueueEmail, enqueueJob,
} from 'waybill';

async function main() {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
  for (const statement of createPostgresOutboxSetupStatements()) await pool.query(statement);
  const job = defineJob({ name: 'job', payload: z.object({}), handler: async () => console.log('ran') });
  const outbox = createPostgresOutbox(pool);
  await enqueueJob(outbox, job, {});
  const { delivered } = await drainOutbox({ outbox, registry: defineOutboxRegistry({ jobs: [job] }), pool });
  console.log(delivered + ' delivered');
  const html = { to: 'a@customers.example', subject: 's', html: '<p>text</p>' };
  await enqueueEmail(outbox, html, { from: 'b@shop.example' }).catch((error) => console.log(error.code));
  await pool.end();
}
main();
`;

const common = `
import { defineApp, defineJob, PermanentError } from 'waybill';
import { z } from 'zod';
import { Colour } from './colour';
export default defineApp({
  jobs: [
    defineJob({
      name: 'refuse',
      payload: z.object({}),
      handler: async () => {
        throw new PermanentError('no ' + Colour.Red);
      },
    }),
  ],
});
`;

const fleeting = `
import pg from 'pg';
import { createPostgresOutbox } from 'waybill';
import { startTestFleet } from 'waybill/testing';

const databaseUrl = process.env.DATABASE_URL;
const fleet = await startTestFleet({ databaseUrl, app: 'app/index.ts' });
const before = await fleet.settled();
const pool = new pg.Pool({ connectionString: databaseUrl });
const message = { kind: 'job', name: 'look', queue: 'jobs', payload: { colour: 'green' } };
await createPostgresOutbox(pool).enqueue(message);
const after = await fleet.settled();
console.log(after.delivered - before.delivered + ' more');
await fleet.close();
await pool.end();
`;

const tested = `
import { z } from 'zod';
import { createMemoryOutbox, defineAction, defineJob } from 'waybill';
import { runAction, startFakeSmtpServer } from 'waybill/testing';

await startFakeSmtpServer().catch((error) => console.log(error.code));
const job = defineJob({ name: 'job', payload: z.object({}), handler: async () => {} });
const action = defineAction({
  name: 'act',
  access: 'public',
  args: z.object({}),
  async handler(ctx) {
    await ctx.jobs.dispatch(job, {});
    return { ok: true };
  },
});
const outbox = createMemoryOutbox();
const result = await runAction(action, {}, { outbox });
console.log(outbox.messages.length + ' message, ' + JSON.stringify(result));
`;

const application = {
  'tsconfig.json': JSON.stringify({
    compilerOptions: { experimentalDecorators: true, paths: { '@shop/*': ['./app/*'] } },
  }),
  'app/sql/0001_seen.sql': 'create table seen (colour text, decorated text)',
  'app/colour.ts': 'export enum Colour { Green = "GREEN", Red = "RED" }',
  'app/decorated.ts': `
    function note(text: string) {
      return (target: object, key: string): void => void Object.defineProperty(target, key + 'Note', { value: text });
    }
    export class Looker {
      constructor(private readonly name: string) {}
      @note('by a decorator')
      look(): string { return this.name; }
    }`,
  'app/index.ts': `
    import { defineApp, defineJob, PermanentError } from 'waybill';
    import { z } from 'zod';
    import { Colour } from '@shop/colour';
    import { Looker } from './decorated';

    const look = defineJob({
      name: 'look',
      payload: z.object({ colour: z.enum(['green', 'red']) }),
      async handler(ctx, { colour }) {
        if (colour === 'red') throw new PermanentError('red is no good');
        const looker = new Looker('look') as Looker & { lookNote: string };
        await ctx.db.query('insert into seen values ($1, $2)', [Colour.Green, looker.lookNote]);
      },
    });
    export default defineApp({ jobs: [look] });`,
};
