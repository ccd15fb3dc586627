import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { tsconfigPaths: true }, // `waybill` is src/index.ts here, without a build
  test: {
    include: ['test/**/*.test.ts', 'app/**/*.test.ts'], // `waybill make` writes tests beside what they test
    globalSetup: ['test/support/global.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Processes, not threads: tests start and signal children, and one that crashes must not take the others with it.
    pool: 'forks',
    maxWorkers: 2,
    passWithNoTests: false,
  },
});
