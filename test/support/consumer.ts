// The package as its users get it: packed, and installed into an empty ESM project outside of this repository.

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

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
  /** Paths in the tarball. */
  readonly packed: readonly string[];
  write(path: string, text: string): void;
  /** Runs a command in the project to its end; a minute at most. */
  run(command: string, args: readonly string[], env?: Env): Promise<Finished>;
  /** Starts one that goes on. */
  start(command: string, args: readonly string[], env?: Env): ChildProcess;
  /** Another project beside it, with the same tarball. @param beside as of `installPackage` */
  another(name: string, beside: readonly string[]): Promise<Project>;
  end(): void;
};

export type Project = Pick<Consumer, 'dir' | 'write' | 'run' | 'start'>;

/**
 * Packs the repository (which builds it) and installs the tarball, with the packages that its users name beside it.
 * @param beside names, each in the version of this repository unless it says `name@version`
 */
export async function installPackage(beside: readonly string[]): Promise<Consumer> {
  const dir = mkdtempSync(join(tmpdir(), 'waybill-consumer-'));
  const env = environment(dir);
  const npm = (args: readonly string[], cwd: string) =>
    promisify(execFile)('npm', [...args], { cwd, env, timeout: 200_000, maxBuffer: 16_777_216 });
  const { stdout } = await npm(['pack', '--json', '--pack-destination', dir], root);
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as {
    filename: string;
    files: { path: string }[];
  }[];
  const tarball = join(dir, packed!.filename);

  async function another(name: string, names: readonly string[]): Promise<Project> {
    const project = join(dir, name);
    const write = (path: string, text: string): void => {
      mkdirSync(dirname(join(project, path)), { recursive: true });
      writeFileSync(join(project, path), text);
    };
    write('package.json', JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
    const versioned = names.map((one) => (one.lastIndexOf('@') > 0 ? one : `${one}@${versions[one]}`));
    await npm(['install', '--prefer-offline', tarball, ...versioned], project);
    return {
      dir: project,
      write,
      run: (command, args, more) => finish(command, args, { cwd: project, env: { ...env, ...more } }),
      start: (command, args, more) =>
        spawn(command, args, { cwd: project, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] }),
    };
  }

  return {
    ...(await another('project', beside)),
    packed: packed!.files.map(({ path }) => path),
    another,
    end: () => rmSync(dir, { recursive: true, force: true }),
  };
}

async function finish(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Promise<Finished> {
  try {
    const done = await promisify(execFile)(command, [...args], { ...options, timeout: 60_000 });
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
