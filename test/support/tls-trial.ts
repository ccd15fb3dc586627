// A process that trusts the authority of NODE_EXTRA_CA_CERTS hands one mail to the server of its argument, and prints what became of it.

import { failureOf } from '../../src/delivery/failure.ts';
import { prepareEmail } from '../../src/email/email.ts';
import { createSmtpProvider } from '../../src/email/smtp/smtp.ts';

const provider = createSmtpProvider({ url: process.argv[2]!, leaseMs: 9_000 });
const email = prepareEmail(
  { from: 'shop@shop.test', to: 'ann@b.test', subject: 's', text: 't' },
  { defaultFrom: null },
);
const about = {
  messageId: '<m@shop.test>',
  idempotencyKey: 'm',
  date: new Date(),
  recipients: ['ann@b.test'],
  signal: new AbortController().signal,
};
const end = await provider.send(email, about).catch((error: unknown) => failureOf(error));
console.log(JSON.stringify(end));
await provider.close?.();
