import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installPackage, type Consumer, type Finished } from '../support/consumer.ts';
import { libraryExample, withDatabase } from '../support/library.ts';

// The tarball in a project of its own for each package manager: a real install with the manager's default settings, then the types, the README's
// example on a real database, and the command line.

const root = fileURLToPath(new URL('../../', import.meta.url));
const bun = `@oven/bun-${process.platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}`;
const tsc = join(root, 'node_modules/.bin/tsc');

let tools: Consumer;
let registry: string;
beforeAll(async () => {
  tools = await installPackage(['pg', 'zod', 'pnpm@12.21.0', '@yarnpkg/cli-dist@4.18.1', `${bun}@1.4.5`]);
  registry = (await tools.run('npm', ['config', 'get', 'registry'])).stdout.trim();
}, 400_000);
afterAll(() => tools.end());

type Manager = {
  readonly install: readonly string[];
  /** What runs a TypeScript file, a command of a package, and the type checker. */
  readonly run: readonly string[];
  readonly exec: readonly string[];
  readonly types: readonly string[];
  /** Its settings: file and text. */
  readonly settings?: readonly [string, string];
};

const pnpm = ['node', '@/pnpm/bin/pnpm.mjs'];
const yarn = ['node', '@/@yarnpkg/cli-dist/bin/yarn.js'];
const yarnSettings = (linker: string): readonly [string, string] => [
  '.yarnrc.yml',
  `nodeLinker: ${linker}\nnpmRegistryServer: '${registry}'\nenableTelemetry: false\nenableImmutableInstalls: false\n`,
];

const managers: Readonly<Record<string, () => Manager>> = {
  npm: () => ({
    install: ['npm', 'install', '--prefer-offline'],
    run: ['node'],
    exec: ['npx', '--no-install'],
    types: [tsc],
  }),
  pnpm: () => ({
    install: [...pnpm, 'install', '--prefer-offline'],
    run: ['node'],
    exec: [...pnpm, 'exec'],
    types: [tsc],
  }),
  'Yarn with node_modules': () => ({
    install: [...yarn, 'install'],
    run: [...yarn, 'node'],
    exec: yarn,
    types: [tsc],
    settings: yarnSettings('node-modules'),
  }),
  // TypeScript 7 does not read Plug'n'Play; Yarn patches TypeScript 5.
  "Yarn's Plug'n'Play": () => ({
    install: [...yarn, 'install'],
    run: [...yarn, 'node'],
    exec: yarn,
    types: [...yarn, 'tsc'],
    settings: yarnSettings('pnp'),
  }),
  Bun: () => ({
    install: [`@/${bun}/bin/bun`, 'install'],
    run: [`@/${bun}/bin/bun`],
    exec: [`@/${bun}/bin/bun`, 'x'],
    types: [tsc],
  }),
};

function manifest(name: string): string {
  const dependencies = { waybill: `file:${tools.tarball}`, pg: '^8.11.0', zod: '^4.1.0' };
  const typescript = name.includes('Plug') ? { typescript: '5.9.3' } : {};
  const devDependencies = { '@types/node': '24.19.2', '@types/pg': '8.23.1', ...typescript };
  return JSON.stringify({
    name: 'shop',
    version: '1.2.3',
    private: true,
    type: 'module',
    dependencies,
    devDependencies,
  });
}

const late = `import { defineJob } from 'waybill';\nimport { z } from 'zod';\nexport const late = defineJob({ name: 'late', payload: z.object({}), async handler() {} });\n`;

const compilerOptions = { target: 'ES2023', module: 'NodeNext', strict: true, noEmit: true, types: ['node'] };

describe.each(Object.keys(managers))('%s', { timeout: 240_000 }, (name) => {
  const folder = `with-${name.replaceAll(/[^a-z]+/gi, '-')}`;
  const call = (command: readonly string[], args: readonly string[], env: Record<string, string> = {}) => {
    const [program, ...first] = command.map((part) => part.replace(/^@\//, `${tools.dir}/node_modules/`));
    return tools.run(program!, [...first, ...args], env, join(tools.dir, '..', folder));
  };
  const succeed = async (finished: Promise<Finished>): Promise<string> => {
    const { code, stdout, stderr } = await finished;
    expect(code, `${stdout}${stderr}`).toBe(0);
    return stdout;
  };

  it('installs with its own settings, has the types, records and drains, and runs the commands', async () => {
    const manager = managers[name]!();
    const { code, output } = libraryExample();
    const write = (file: string, text: string): void => tools.write(`../${folder}/${file}`, text);
    write('package.json', manifest(name));
    if (manager.settings) write(...manager.settings);
    if (name.startsWith('Yarn')) write('yarn.lock', ''); // a project of its own
    write('library.ts', code);
    write('app/index.ts', `import { defineApp } from 'waybill';\nexport default defineApp({});\n`);
    write('app/late.ts', late);
    write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['library.ts'] }));
    const installed = await succeed(call(manager.install, []));
    expect(installed).not.toMatch(/ignored build|install-scripts|postinstall/i);

    await succeed(call(manager.types, ['-p', '.']));
    expect(await succeed(call(manager.exec, ['waybill', '--version']))).toMatch(/^\d+\.\d+\.\d+\n$/);
    await withDatabase(async (env) => {
      expect(await succeed(call(manager.run, ['library.ts'], env))).toBe(output);
      // It loads the application, which is in TypeScript, and reads its sources. The database has no pg-boss: one problem, so it ends with 3.
      const found = await call(manager.exec, ['waybill', 'doctor', '--json'], env);
      const { findings } = JSON.parse(found.stdout || found.stderr) as { findings: { code: string }[] };
      expect(findings.map(({ code }) => code)).toContain('definition_unregistered');
    });
  });
});
