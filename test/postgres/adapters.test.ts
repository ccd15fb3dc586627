import { describe } from 'vitest';
import { builderCases } from '../support/builder-cases.ts';
import { builders } from '../support/query-builders.ts';

// The outbox in transactions of real query builders, by way of pg-boss's adapters. Prisma, which is large, is in test/fleet/prisma.test.ts.

describe.each(Object.entries(builders))('%s', (_, make) => {
  builderCases(make);
});
