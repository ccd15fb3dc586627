// A hundred and fifty emails over SendGrid's stand-in: a real fleet on a real Postgres (test/support/mail-drill.ts).

import { expect, it } from 'vitest';
import { drillMail } from '../support/mail-drill.ts';
import { sendgridErrors, sendgridKey, startSendgrid } from '../support/sendgrid.ts';

it('B, D: what is accepted is what was committed, and each duplicate is on record', async () => {
  const drilled = drillMail({
    provider: 'sendgrid',
    start: startSendgrid,
    env: (url) => ({ SENDGRID_API_KEY: sendgridKey, SENDGRID_BASE_URL: url }),
    answers: {
      rateLimit() {
        const reset = String(Math.floor(Date.now() / 1_000) + 1);
        return sendgridErrors(429, 'too many requests', { headers: { 'x-ratelimit-reset': reset } });
      },
      error: sendgridErrors(500, 'internal server error'),
    },
  });
  await expect(drilled).resolves.toBeUndefined();
}, 180_000);
