// An application whose email provider fails on the first attempt of each email.

import { defineApp } from '../../src/index.ts';

const failed = new Set<string>();

export default defineApp({
  email: {
    retry: { maxAttempts: 3, backoff: { initial: '1s', factor: 1, max: '1s' } },
    provider: {
      name: 'second-attempt',
      idempotent: true,
      async send(_, { idempotencyKey }) {
        if (!failed.has(idempotencyKey)) {
          failed.add(idempotencyKey);
          throw new Error('not yet');
        }
        return { accepted: [], rejected: [], response: 'ok' };
      },
    },
  },
});
