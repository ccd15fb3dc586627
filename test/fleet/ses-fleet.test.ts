// A hundred and fifty emails over Amazon SES's stand-in: a real fleet on a real Postgres (test/support/mail-drill.ts).

import { expect, it } from 'vitest';
import { drillMail } from '../support/mail-drill.ts';
import { sesCredentials, sesError, startSes } from '../support/ses.ts';

it('B, D: what is accepted is what was committed, and each duplicate is on record', async () => {
  const drilled = drillMail({
    provider: 'ses',
    start: startSes,
    env: (url) => ({
      AWS_ACCESS_KEY_ID: sesCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: sesCredentials.secretAccessKey,
      AWS_REGION: sesCredentials.region,
      AWS_ENDPOINT_URL_SESV2: url,
    }),
    answers: {
      rateLimit: () => sesError('TooManyRequestsException', 'Maximum sending rate exceeded.', 429),
      error: sesError('InternalFailure', 'The request processing has failed.', 500),
    },
  });
  await expect(drilled).resolves.toBeUndefined();
}, 180_000);
