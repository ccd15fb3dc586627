import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const pure = 'test/pure/**/*.test.ts';
const postgres = ['test/postgres/**/*.test.ts', 'test/conformance/**/*.test.ts'];
/** `npm run test:quick` leaves these out: each takes more than ten seconds on two cores, and needs a reason to be longer than that. */
const slow = [
  'test/pure/autoscale.test.ts', // hours of a simulated fleet
  'test/pure/linear.test.ts', // each parser on 1 MB
  'test/postgres/adapters.test.ts', // the conformance suite on each query builder
  'test/postgres/conflicts.test.ts', // an outbox at serializable
  'test/postgres/crash-loops.test.ts', // a crash at the statements of other loops
  'test/postgres/crash-points.test.ts', // a crash at each statement
  'test/conformance/model.test.ts', // 200,000 steps of a model
  'test/postgres/events.test.ts', // streams over several of their seconds, and a Postgres of its own
  'test/postgres/migrate.test.ts', // a dozen databases from nothing
  'test/postgres/order-load.test.ts', // order keys under load
  'test/postgres/rate.test.ts', // rates over several of their seconds
  'test/postgres/search.test.ts', // 100,000 messages
];

function project(name: string, include: string[], more: object = {}): TestProjectInlineConfiguration {
  return {
    resolve: { tsconfigPaths: true }, // `waybill` is src/index.ts here, without a build
    test: {
      name,
      include,
      testTimeout: 60_000,
      hookTimeout: 60_000,
      // Processes, not threads: tests start and signal children, and one that crashes must not take the others with it.
      pool: 'forks',
      ...more,
    },
  };
}

export default defineConfig({
  test: {
    globalSetup: ['test/support/global.ts'],
    maxWorkers: 2,
    passWithNoTests: false,
    projects: [
      // Files of these two share processes: to load the modules anew for each file took longer than most tests.
      project('pure', [pure], { exclude: slow, isolate: false }),
      project('postgres', postgres, { exclude: slow, isolate: false }),
      // `waybill make` writes tests of the application beside what they test.
      project('long', ['test/fleet/**/*.test.ts', 'test/docs/**/*.test.ts', 'app/**/*.test.ts', ...slow]),
    ],
  },
});
