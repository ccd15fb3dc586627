// Records an email in a transaction, as an application does it, for each line of its input.
// The line `quiet` leaves the NOTIFY out: then the relay finds the message.

import { createInterface } from 'node:readline';
import pg from 'pg';
import { createPostgresOutbox, enqueueEmail } from '../../src/index.ts';
import { openDatabase } from '../../src/db/pool.ts';
import { createNotify } from '../../src/outbox/notify.ts';

const url = process.env['DATABASE_URL']!;
const client = new pg.Client({ connectionString: url });
await client.connect();
const db = openDatabase({ url, max: 1, applicationName: 'recorder', onIdleError: console.error });
await db.executeSql('select 1');
const notify = createNotify(db, console.error);
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  await client.query('begin');
  await enqueueEmail(createPostgresOutbox(client), {
    to: 'ann@example.com',
    from: 'shop@example.com',
    subject: 'Your order',
    text: 'It is on its way.',
  });
  await client.query('commit');
  if (line !== 'quiet') notify(['email:0']);
}
