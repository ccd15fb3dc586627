// A hundred and fifty emails over Postmark's stand-in: a real fleet on a real Postgres (test/support/mail-drill.ts).

import { expect, it } from 'vitest';
import { drillMail } from '../support/mail-drill.ts';
import { postmarkError, postmarkToken, startPostmark } from '../support/postmark.ts';

it('B, D: what is accepted is what was committed, and each duplicate is on record', async () => {
  const drilled = drillMail({
    provider: 'postmark',
    start: startPostmark,
    env: (url) => ({ POSTMARK_SERVER_TOKEN: postmarkToken, POSTMARK_BASE_URL: url }),
    answers: {
      rateLimit: () => postmarkError(429, 'Rate limit exceeded.', 429),
      error: postmarkError(101, 'You encountered an error that should not have occurred.', 500),
    },
  });
  await expect(drilled).resolves.toBeUndefined();
}, 180_000);
