// The package as its users get it: packed, and installed into an empty ESM project outside of this repository.

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { until } from './wait.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
};
const versions = { ...manifest.peerDependencies, ...manifest.dependencies, ...manifest.devDependencies };

export type Finished = { readonly code: number; readonly stdout: string; readonly stderr: string };
type Env = Readonly<Record<string, string>>;

export type Consumer = {
  readonly dir: string;
  readonly tarball: string;
  /** Paths in the tarball. */
  readonly packed: readonly string[];
  write(path: string, text: string): void;
  /** Runs a command in the project, or in another folder, to its end; two minutes at most. */
  run(command: string, args: readonly string[], env?: Env, cwd?: string): Promise<Finished>;
  /** Starts one that goes on. */
  start(command: string, args: readonly string[], env?: Env, cwd?: string): ChildProcess;
  /** Installs one more package into the project, in the version of this repository. */
  add(name: string): Promise<void>;
  /** Another project beside it, with the same tarball. @param beside as of `installPackage` */
  another(name: string, beside: readonly string[]): Promise<Project>;
  end(): void;
};

export type Project = Pick<Consumer, 'dir' | 'write' | 'run' | 'start' | 'add'>;

/** The tarball, and the paths in it. Packing builds the package; the first who calls this in a run of the tests does it, and the others wait. */
async function packOnce(): Promise<{ tarball: string; packed: string[] }> {
  const dir = inject('packFolder');
  const done = join(dir, 'packed.json');
  if (mine(join(dir, 'begun'))) {
    const { stdout } = await promisify(execFile)('npm', ['pack', '--json', '--pack-destination', dir], {
      cwd: root,
      env: environment(dir),
      timeout: 200_000,
      maxBuffer: 16_777_216,
    });
    writeFileSync(`${done}.new`, stdout.slice(stdout.indexOf('[\n')));
    renameSync(`${done}.new`, done);
  }
  await until(() => existsSync(done), { timeoutMs: 200_000, what: 'the tarball' });
  const [pack] = JSON.parse(readFileSync(done, 'utf8')) as { filename: string; files: { path: string }[] }[];
  return { tarball: join(dir, pack!.filename), packed: pack!.files.map(({ path }) => path) };
}

function mine(dir: string): boolean {
  try {
    mkdirSync(dir);
    return true;
  } catch {
    return false;
  }
}

/**
 * Installs the package's tarball with npm, with the packages that its users name beside it.
 * @param beside names, each in the version of this repository unless it says `name@version`
 * @param options of npm
 */
export async function installPackage(
  beside: readonly string[],
  options: readonly string[] = [],
): Promise<Consumer> {
  const dir = mkdtempSync(join(tmpdir(), 'waybill-consumer-'));
  const env = environment(dir);
  const { tarball, packed } = await packOnce();

  async function another(name: string, names: readonly string[]): Promise<Project> {
    const project = join(dir, name);
    const write = (path: string, text: string): void => {
      mkdirSync(dirname(join(project, path)), { recursive: true });
      writeFileSync(join(project, path), text);
    };
    write('package.json', JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
    const install = async (...what: string[]): Promise<void> => {
      const args = ['install', '--prefer-offline', ...options, ...what];
      await promisify(execFile)('npm', args, { cwd: project, env, timeout: 200_000 });
    };
    await install(tarball, ...versioned(names));
    return {
      add: async (one) => install(...versioned([one])),
      dir: project,
      write,
      run: (command, args, more, cwd = project) => finish(command, args, { cwd, env: { ...env, ...more } }),
      start: (command, args, more, cwd = project) =>
        spawn(command, args, { cwd, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] }),
    };
  }

  return {
    ...(await another('project', beside)),
    tarball,
    packed,
    another,
    end: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Names with the version of this repository, unless they have one. */
export const versioned = (names: readonly string[]): string[] =>
  names.map((one) => (one.lastIndexOf('@') > 0 ? one : `${one}@${versions[one]}`));

async function finish(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Promise<Finished> {
  try {
    const done = await promisify(execFile)(command, [...args], {
      ...options,
      timeout: 120_000,
      maxBuffer: 16_777_216,
    });
    return { code: 0, ...done };
  } catch (error) {
    const { code, stdout, stderr, message } = error as Partial<Finished> & Error;
    return { code: typeof code === 'number' ? code : -1, stdout: stdout ?? '', stderr: stderr || message };
  }
}

/** What an npm that runs the tests says of itself must not reach the npm of the project. */
function environment(dir: string): NodeJS.ProcessEnv {
  const foreign =
    /^(npm_(package|lifecycle|node|execpath|command|config_(local|global)_prefix)|INIT_CWD|NODE_OPTIONS|VITEST|WAYBILL|DATABASE_URL)/;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return { ...Object.fromEntries(kept), npm_config_update_notifier: 'false', TMPDIR: dir, FORCE_COLOR: '0' };
}
