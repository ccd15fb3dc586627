// A hundred and fifty emails over Mailgun's stand-in: a real fleet on a real Postgres (test/support/mail-drill.ts).

import { expect, it } from 'vitest';
import { drillMail } from '../support/mail-drill.ts';
import { mailgun, mailgunError, startMailgun } from '../support/mailgun.ts';

it('B, D: what is accepted is what was committed, and each duplicate is on record', async () => {
  const drilled = drillMail({
    provider: 'mailgun',
    start: startMailgun,
    env: (url) => ({
      MAILGUN_API_KEY: mailgun.apiKey,
      MAILGUN_DOMAIN: mailgun.domain,
      MAILGUN_BASE_URL: url,
    }),
    answers: {
      rateLimit() {
        const end = new Date(Date.now() + 1_000).toUTCString().replace('GMT', 'UTC');
        const limit = `request limit exceeded, try again after ${end}`;
        return mailgunError(429, `Domain ${mailgun.domain} is not allowed to send: ${limit}`);
      },
      error: mailgunError(500, 'Internal Server Error'),
    },
  });
  await expect(drilled).resolves.toBeUndefined();
}, 180_000);
