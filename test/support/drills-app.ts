// The application of the drills (docs/incidents.md). What goes wrong in it stands in the table `faults`; to delete a row is to mend the cause.

import pg from 'pg';
import { z } from 'zod';
import {
  defineAction,
  defineApp,
  defineCron,
  defineJob,
  defineQueue,
  EmailError,
  type EmailFacts,
} from '../../src/index.ts';

export const drillTables = `create table faults (name text primary key); create table reports (at timestamptz)`;

/** Where mail to it is refused. */
export const wrongDomain = 'customers.exmaple';

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 5 });
pool.on('error', () => undefined);

async function isFaulty(name: string): Promise<boolean> {
  return (await pool.query('select from faults where name = $1', [name])).rowCount === 1;
}

const faults: Readonly<Record<string, () => never>> = {
  crm() {
    throw new Error('getaddrinfo ENOTFOUND crm.example');
  },
  currency() {
    throw new RangeError('Invalid currency code : undefined');
  },
};

const syncContact = defineJob({
  name: 'sync-contact',
  payload: z.object({ fault: z.string() }),
  retry: { maxAttempts: 1 },
  async handler(_, { fault }) {
    if (await isFaulty(fault)) faults[fault]?.();
  },
});

const exportData = defineJob({
  name: 'export-data',
  queue: 'exports',
  payload: z.object({}),
  async handler() {
    await new Promise((resolve) => void setTimeout(resolve, 100));
  },
});

/** While the bank is faulty it waits for an answer that never comes, and for nothing else. */
const chargeCard = defineJob({
  name: 'charge-card',
  queue: 'payments',
  payload: z.object({}),
  async handler(ctx) {
    if (!(await isFaulty('bank'))) return;
    await new Promise((_, reject) => {
      ctx.signal.addEventListener('abort', () => reject(new Error('aborted')));
    });
  },
});

const report = defineAction({
  name: 'report',
  access: 'system',
  args: z.object({}),
  async handler(ctx) {
    if (ctx.invoker.type !== 'system') throw new Error('not called by the system');
    await ctx.db.query('insert into reports values ($1)', [ctx.invoker.scheduledAt]);
  },
});

const refused = (message: string, facts: Partial<EmailFacts>): EmailError =>
  new EmailError(message, { provider: 'drills', phase: 'answered', responseCode: 550, ...facts });

export default defineApp({
  actions: [report],
  jobs: [syncContact, exportData, chargeCard],
  queues: [defineQueue({ name: 'exports', concurrency: 2 })],
  cron: defineCron({
    jobs: [
      {
        name: 'nightly-report',
        schedule: '0 * * * *',
        action: report,
        missedTickPolicy: 'all',
        maxCatchUpAge: '1s',
      },
    ],
  }),
  email: {
    provider: {
      name: 'drills',
      idempotent: true,
      async send(_, { recipients, messageId }) {
        if (await isFaulty('quota'))
          throw refused('550 5.4.5 Daily sending quota exceeded', { command: 'DATA' });
        if (recipients.every((address) => address.endsWith(`@${wrongDomain}`)))
          throw refused(`550 5.1.1 <${recipients[0]}>: user unknown`, { command: 'RCPT TO' });
        return { accepted: recipients, rejected: [], response: '250 2.0.0 OK', reference: messageId };
      },
    },
  },
  teardown: () => pool.end(),
});
