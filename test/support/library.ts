// The README's library example, as the tests of the package run it.

import { testDatabase } from './database.ts';
import { documentationPages } from './examples.ts';

/** The example's code, and what it prints. */
export function libraryExample(): { code: string; output: string } {
  const { examples } = documentationPages().find(({ name }) => name === 'README.md')!;
  const at = examples.findIndex(({ file }) => file === 'library.ts');
  return { code: examples[at]!.code, output: examples[at + 1]!.code };
}

/** Runs `use` with a database of its own, which is empty. */
export async function withDatabase<T>(use: (env: { DATABASE_URL: string }) => Promise<T>): Promise<T> {
  const fresh = await testDatabase({ migrated: false });
  try {
    return await use({ DATABASE_URL: fresh.url });
  } finally {
    await fresh.end();
  }
}
