// An earlier commit of ours as a contender: its own benchmark code and processes, from a git worktree that exists during the run.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Contender, Work } from './contender.ts';
import { tell } from './progress.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

export type Revision = {
  readonly name: string;
  open(url: string): Promise<Contender>;
  remove(): void;
};

/** Exports of its bench/waybill.ts. Before there were works, the second argument was something else. */
type Its = {
  readonly works?: readonly string[];
  waybill(url: string, options?: { readonly work: Work }): Promise<Contender>;
};

/** @throws when git does not know the revision, or that commit has no benchmark of the work */
export async function checkOut(revision: string, work: Work): Promise<Revision> {
  const commit = git('rev-parse', '--verify', '--short', `${revision}^{commit}`);
  const dir = join(mkdtempSync(join(tmpdir(), 'waybill-revision-')), commit);
  git('worktree', 'add', '--detach', dir, commit);
  const remove = (): void => {
    if (!existsSync(dir)) return;
    git('worktree', 'remove', '--force', dir);
    rmSync(join(dir, '..'), { recursive: true, force: true });
  };
  process.once('exit', remove);
  provideModules(dir);
  const its = (await import(pathToFileURL(join(dir, 'bench/waybill.ts')).href)) as Its;
  if (!(its.works ?? ['noop']).includes(work)) throw new Error(`${commit} has no benchmark of ${work} yet`);
  return {
    name: commit,
    remove,
    async open(url) {
      const contender = await (work === 'noop' ? its.waybill(url) : its.waybill(url, { work }));
      return { ...contender, name: commit };
    },
  };
}

/** Our modules if the lock files are the same, else its own. */
function provideModules(dir: string): void {
  const lock = (folder: string): string => readFileSync(join(folder, 'package-lock.json'), 'utf8');
  if (lock(dir) === lock(root)) return symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  tell('installs the packages of the revision');
  execFileSync('npm', ['ci', '--no-fund', '--no-audit'], { cwd: dir, stdio: ['ignore', 2, 2] });
}
