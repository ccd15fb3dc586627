// What changed since a commit: the files, and in each the lines as they are now.

import { execFileSync } from 'node:child_process';
import { root } from './tree.ts';

/** From and up to a line, both inclusive; lines count from 1. */
export type Lines = readonly [from: number, upTo: number];

const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

/** Where this work left main; on main itself the commit before. Undefined: this folder has no earlier commit, as a shallow clone has none. */
export function baseOf(): string | undefined {
  const commit = (...args: string[]): string | undefined => {
    try {
      return git(...args);
    } catch {
      return undefined;
    }
  };
  const base = commit('merge-base', 'main', 'HEAD');
  return base !== undefined && base !== commit('rev-parse', 'HEAD')
    ? base
    : commit('rev-parse', '--verify', 'HEAD~1');
}

/** @throws Error when git does not know the revision */
export function changedSince(revision: string): ReadonlyMap<string, readonly Lines[]> {
  let text: string;
  try {
    text = git('diff', '--unified=0', '--no-color', '--no-ext-diff', revision);
  } catch {
    throw new Error(
      `git finds no changes since ${revision}: name a commit that this clone has, with --changed REV`,
    );
  }
  const changed = new Map<string, Lines[]>();
  let file: string | undefined;
  for (const line of text.split('\n')) {
    const [, name] = /^\+\+\+ b\/(.+)$/.exec(line) ?? [];
    if (name !== undefined) changed.set((file = name), []);
    const [, from, count = '1'] = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line) ?? [];
    if (from !== undefined && file !== undefined)
      changed.get(file)!.push([Number(from), Number(from) + Math.max(0, Number(count) - 1)]);
  }
  return changed;
}
