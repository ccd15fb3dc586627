// The package manager of a project, and how it adds packages.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WaybillError } from '../errors.ts';

const managers = ['npm', 'pnpm', 'yarn', 'bun'] as const;
export type PackageManager = (typeof managers)[number];

const lockfiles: readonly (readonly [string, PackageManager])[] = [
  ['package-lock.json', 'npm'],
  ['pnpm-lock.yaml', 'pnpm'],
  ['yarn.lock', 'yarn'],
  ['bun.lock', 'bun'],
  ['bun.lockb', 'bun'],
];

/**
 * By the field `packageManager`, else by a lockfile, of the project or of a folder above it in its repository (a workspace), else by what runs this process.
 * @param agent the value of npm_config_user_agent, such as `pnpm/12.1.0 npm/? node/v24.0.0`
 */
export function packageManagerOf(project: string, agent = ''): PackageManager {
  return inFolders(project) ?? named(agent) ?? 'npm';
}

function inFolders(folder: string): PackageManager | undefined {
  const byField = named(fieldOf(join(folder, 'package.json')));
  const byLock = lockfiles.find(([file]) => existsSync(join(folder, file)))?.[1];
  const above = dirname(folder);
  const isTop = above === folder || existsSync(join(folder, '.git'));
  return byField ?? byLock ?? (isTop ? undefined : inFolders(above));
}

function named(text: string): PackageManager | undefined {
  return managers.find((one) => text.startsWith(`${one}/`) || text.startsWith(`${one}@`));
}

function fieldOf(manifest: string): string {
  if (!existsSync(manifest)) return '';
  try {
    const { packageManager } = JSON.parse(readFileSync(manifest, 'utf8')) as { packageManager?: unknown };
    return typeof packageManager === 'string' ? packageManager : '';
  } catch {
    return ''; // the command that needs the manifest reports what is wrong with it
  }
}

export type Wanted = { readonly packages: readonly string[]; readonly forDevelopment: boolean };

/** The command that adds packages, as a person would type it. */
export function addCommand(manager: PackageManager, { packages, forDevelopment }: Wanted): string[] {
  const flag = manager === 'npm' ? '--save-dev' : '--dev';
  const verb = manager === 'npm' ? 'install' : 'add';
  return [manager, verb, ...(forDevelopment ? [flag] : []), ...packages];
}

/**
 * Adds packages to a project; the package manager's output is shown.
 * @throws WaybillError `packages_not_installed`
 */
export async function addPackages(
  project: string,
  manager: PackageManager,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<void> {
  const [command = '', ...args] = addCommand(manager, wanted);
  const problem = await failureOf(command, args, project, signal);
  if (problem === undefined) return;
  throw new WaybillError(
    'packages_not_installed',
    `\`${[command, ...args].join(' ')}\` ${problem}. Nothing was started: mend what it says above, then run this again`,
  );
}

async function failureOf(
  command: string,
  args: readonly string[],
  cwd: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  // Its output goes to stderr, because a result on stdout must stay readable by programs.
  const child = spawn(command, args, { cwd, stdio: ['ignore', 2, 2], signal, env: withFewRetries() });
  try {
    const [code, killed] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return code === 0 ? undefined : `ended with ${killed ?? `exit code ${code}`}`;
  } catch (error) {
    signal.throwIfAborted();
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? `could not be run, because ${command} is not installed`
      : `could not be run: ${(error as Error).message}`;
  }
}

/** Without a network, npm's own settings would make a person wait for minutes. */
function withFewRetries(): NodeJS.ProcessEnv {
  return { npm_config_fetch_retries: '1', npm_config_fetch_retry_mintimeout: '1000', ...process.env };
}
