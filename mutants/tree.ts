// A copy of the tree, in which mutants are applied one after the other.

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutated, type Mutant } from './mutant.ts';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** What the tests of mutants read. */
const copied = [
  'app',
  'dev',
  'sql',
  'src',
  'test',
  'workers',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
];

export type Tree = {
  readonly folder: string;
  /** Runs `body` on the mutated copy, and restores it. @throws Error when the mutant does not apply */
  withMutant<T>(mutant: Mutant, body: () => Promise<T>): Promise<T>;
  /** Deletes the copy. */
  end(): void;
};

export function copyTree(): Tree {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-mutants-'));
  for (const name of copied) cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return {
    folder,
    async withMutant(mutant, body) {
      const file = join(folder, mutant.file);
      const before = readFileSync(file, 'utf8');
      writeFileSync(file, mutated(before, mutant));
      try {
        return await body();
      } finally {
        writeFileSync(file, before);
      }
    },
    end: () => rmSync(folder, { recursive: true, force: true }),
  };
}
