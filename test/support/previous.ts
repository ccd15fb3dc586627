// The source of the previous release, in a folder of its own with the packages of this one. Until there is a release, it is the commit that last
// changed sql/: the oldest code for today's schema, because migrations are still edited in place, and an older version would refuse them.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../..', import.meta.url));
const git = (...args: readonly string[]): string =>
  execFileSync('git', args, { cwd: project, encoding: 'utf8' }).trim();

export type Previous = {
  /** A tag, or the beginning of a commit. */
  readonly name: string;
  readonly folder: string;
  end(): void;
};

function commitOf(): { readonly name: string; readonly commit: string } | undefined {
  const head = git('rev-parse', 'HEAD');
  const tags = git('tag', '--list', 'v*', '--merged', 'HEAD', '--sort=-version:refname').split('\n');
  for (const name of tags.filter(Boolean)) {
    const commit = git('rev-parse', `${name}^{commit}`);
    if (commit !== head) return { name, commit };
  }
  // At the border of a shallow clone each file looks new.
  if (git('rev-parse', '--is-shallow-repository') === 'true') return undefined;
  const commit = git('log', '-1', '--format=%H', '--', 'sql');
  return commit === '' ? undefined : { name: commit.slice(0, 10), commit };
}

/** @returns a text: why there is none */
export function previousRelease(): Previous | string {
  try {
    const found = commitOf();
    if (!found) return 'this clone is shallow and has no tag v*: fetch the history';
    const folder = mkdtempSync(join(tmpdir(), 'waybill-previous-'));
    const archive = execFileSync('git', ['archive', found.commit], { cwd: project, maxBuffer: 1e9 });
    execFileSync('tar', ['-x', '-C', folder], { input: archive });
    symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
    return { name: found.name, folder, end: () => rmSync(folder, { recursive: true, force: true }) };
  } catch (error) {
    return `git gives no earlier source: ${(error as Error).message}`;
  }
}
