import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installPackage, type Consumer } from '../support/consumer.ts';
import { libraryExample } from '../support/library.ts';

// The types and the exports of the package: under three versions of TypeScript with every strict option, from ES modules and CommonJS, and as the
// checkers publint and attw read the tarball.

const compilers = { '5.9': 'typescript-5@npm:typescript@5.9.3', '6': 'typescript-6@npm:typescript@6.0.3' };
const node = `node-${process.platform}-${process.arch}`;

let project: Consumer;
beforeAll(async () => {
  const checkers = ['publint@0.3.25', '@arethetypeswrong/core@0.18.5'];
  const typescript = [...Object.values(compilers), 'typescript'];
  const types = ['@types/node', '@types/pg'];
  project = await installPackage(['pg', 'zod', ...types, ...typescript, ...checkers, `${node}@22.12.0`]);
  project.write('library.ts', libraryExample().code);
  project.write('use.ts', typed);
  project.write('require.cts', required);
}, 400_000);
afterAll(() => project.end());

describe('the types', () => {
  it.each([
    ['5.9', 'NodeNext', 'NodeNext', ['library.ts', 'use.ts', 'require.cts']],
    ['6', 'Bundler', 'ESNext', ['library.ts', 'use.ts']],
    ['7', 'NodeNext', 'NodeNext', ['library.ts', 'use.ts', 'require.cts']],
    ['7', 'Bundler', 'ESNext', ['library.ts', 'use.ts']],
  ])(
    'hold in TypeScript %s, with the module resolution %s',
    async (version, moduleResolution, module, files) => {
      const compiler = `node_modules/typescript${version === '7' ? '' : `-${version[0]}`}/bin/tsc`;
      const compilerOptions = {
        target: 'ES2023',
        module,
        moduleResolution,
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        isolatedModules: true,
        verbatimModuleSyntax: true,
        noEmit: true,
        skipLibCheck: false,
        types: ['node'],
      };
      const config = `tsconfig-${version}-${moduleResolution}.json`;
      project.write(config, JSON.stringify({ compilerOptions, files }));
      const checked = await project.run('node', [compiler, '-p', config]);
      expect(checked).toEqual({ code: 0, stdout: '', stderr: '' });
    },
  );
});

it('CommonJS gets the same exports by require, on the oldest Node that it takes', async () => {
  const code = `
    const waybill = require('waybill');
    const { runAction } = require('waybill/testing');
    import('waybill').then((module) => console.log(Object.keys(waybill).length > 20, waybill.drainOutbox === module.drainOutbox, typeof runAction));`;
  project.write('require.cjs', code);
  for (const command of ['node', join(project.dir, 'node_modules', node, 'bin/node')]) {
    const ran = await project.run(command, ['--disable-warning=ExperimentalWarning', 'require.cjs']);
    expect(ran).toEqual({ code: 0, stdout: 'true true function\n', stderr: '' });
  }
});

it('a Node that loads no TypeScript says what to install', async () => {
  project.write('app.ts', `export const a: number = 1;\n`);
  const old = join(project.dir, 'node_modules', node, 'bin/node');
  const checked = await project.run(old, ['node_modules/waybill/dist/cli/main.js', 'check'], {
    WAYBILL_APP: 'app.ts',
  });
  expect(checked.code).toBe(3);
  expect(checked.stdout + checked.stderr).toMatch(/Node 22\.12\.0 loads no TypeScript.*npm install tsx/);
});

it('publint and attw find nothing wrong in the tarball', async () => {
  project.write('lint.mjs', lint);
  const { stdout } = await promisify(execFile)('node', ['lint.mjs', project.tarball], { cwd: project.dir });
  const { messages, problems } = JSON.parse(stdout) as { messages: unknown[]; problems: string[] };
  expect(messages).toEqual([]);
  // It is ESM alone. TypeScript's old resolution, node10, knows no exports; Node 16 could not require a module, Node 22.12 and `nodenext` can.
  const entries = ['.', './testing', './react-email', './mjml'];
  const known = entries.flatMap((entry) => [`NoResolution ${entry}`, `CJSResolvesToESM ${entry}`]);
  expect(problems.toSorted()).toEqual(known.toSorted());
});

it('its manifest has what a registry shows', () => {
  const path = join(project.dir, 'node_modules/waybill/package.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  expect(manifest).toMatchObject({
    license: 'MIT',
    description: expect.any(String) as string,
    keywords: expect.arrayContaining(['outbox', 'postgres']) as string[],
  });
});

const lint = `
import { readFileSync } from 'node:fs';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';

const tarball = new Uint8Array(readFileSync(process.argv[2]));
const { messages } = await publint({ pack: { tarball: tarball.buffer } });
const { problems } = await checkPackage(createPackageFromTarballData(tarball));
console.log(JSON.stringify({ messages, problems: problems.map(({ kind, entrypoint }) => kind + ' ' + entrypoint) }));
`;

const required = `
import waybill = require('waybill');
import type { Job } from 'waybill';
import zod = require('zod');

const job: Job = waybill.defineJob({ name: 'job', payload: zod.z.object({}), handler: async () => {} });
console.log(job.name);
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
