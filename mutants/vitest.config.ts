// The tests of Stryker's mutants, which need neither a database nor a process. MUTANTS_TESTS names them, with commas.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: (process.env['MUTANTS_TESTS'] ?? 'test/pure/**/*.test.ts').split(','),
    pool: 'threads',
    isolate: false,
    maxWorkers: 1,
    testTimeout: 60_000,
    passWithNoTests: false,
  },
});
