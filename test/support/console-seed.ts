// A lively outbox for the pages of the console: messages in every state, queues that are open, parked and paused, processes, and what people did.

import { cancel, retry } from '../../src/acts/messages.ts';
import { limit, pause } from '../../src/acts/queues.ts';
import type { Database } from '../../src/db/pool.ts';
import type { ClaimedMessage, NewMessage } from '../../src/message/message.ts';
import type { Actor } from '../../src/operate/audit.ts';
import { readLimits } from '../../src/operate/limits.ts';
import { beat } from '../../src/process/heartbeat.ts';
import { registerQueues } from '../../src/queues/queues.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { counts, idle } from './counts.ts';

export type Seeded = {
  readonly dead: string;
  readonly waiting: string;
  readonly delivered: string;
  readonly running: string;
};

/** Markup, control characters, text directions, and a length that fills pages. */
export const hostile = `<script>document.title='owned'</script><img src=x onerror="document.title='owned'">\u202e\u0007\u001b[31m${'x'.repeat(10_000)}`;

const job = (name: string, more: Partial<NewMessage> = {}): NewMessage => ({
  kind: 'job',
  name,
  queue: 'jobs',
  payload: { customer: 'c-1', note: '<b>tea</b>' },
  ...more,
});

const mail = (subject: string, to: string): NewMessage => ({
  kind: 'email',
  name: 'email',
  queue: 'email',
  deliveryKey: `receipt-${to}`,
  payload: {
    from: 'shop@shop.example',
    to: [to],
    subject,
    text: 'Thank you.',
    html: '<h3>Thank you for your order</h3><p>2 × tea, 9.00 €</p>',
  },
});

export async function seed(db: Database): Promise<Seeded> {
  const outbox = createPostgresOutbox(db);
  await registerQueues(db, ['email', 'events', 'invoices', 'jobs']);
  const claimed = async (message: NewMessage): Promise<ClaimedMessage> => {
    const { id } = await outbox.enqueue(message);
    const [claim] = await outbox.claimBatch({
      limit: 1,
      leaseMs: 600_000,
      workerId: 'jobs.1:4711:a1b2c3',
      ids: [id],
    });
    return claim!;
  };
  const delivered = await claimed(mail('Welcome', 'ann@customers.example'));
  await outbox.settle([
    {
      ...delivered,
      to: 'delivered',
      then: [],
      notes: [
        { type: 'accepted', recipient: 'ann@customers.example', detail: '250 2.0.0 OK', reference: 'x-4711' },
      ],
    },
  ]);
  const running = await claimed(job('sync-customer'));
  const dead = await claimed(job('sync-customer', { deliveryKey: 'customer-7' }));
  const stack =
    'Error: connect ECONNREFUSED 10.0.0.7:443\n    at TCPConnectWrap.afterConnect (node:net:1637:16)';
  await outbox.markFailed(dead.id, dead.claimToken, 'connect ECONNREFUSED 10.0.0.7:443');
  const [again] = await outbox.claimBatch({
    limit: 1,
    leaseMs: 600_000,
    workerId: 'jobs.2:815:d4e5f6',
    ids: [dead.id],
  });
  await outbox.settle([
    {
      id: again!.id,
      claimToken: again!.claimToken,
      to: 'dead',
      error: 'connect ECONNREFUSED 10.0.0.7:443',
      stack,
      ambiguous: false,
      cause: 'exhausted',
    },
  ]);
  for (const customer of ['8', '9', '10']) {
    const one = await claimed(job('sync-customer', { deliveryKey: `customer-${customer}` }));
    await outbox.markFailed(one.id, one.claimToken, `the CRM answered 500 for customer ${customer}`, {
      permanent: true,
    });
  }
  for (const who of ['bob', 'eve']) {
    const one = await claimed(mail('Your receipt', `${who}@customers.example`));
    await outbox.markFailed(one.id, one.claimToken, '451 4.7.1 Greylisted, try again in 5 minutes', {
      delayMs: 312_000,
    });
  }
  const odd = await claimed(job('import', { deliveryKey: hostile.replaceAll(/\p{C}/gu, '').slice(0, 200) }));
  await outbox.markFailed(odd.id, odd.claimToken, hostile, { permanent: true });
  const waiting = await outbox.enqueue(job('make-invoice', { queue: 'invoices', group: 'acme' }));
  await outbox.enqueue(
    ['globex', 'initech', 'acme'].map((group) => job('make-invoice', { queue: 'invoices', group })),
  );
  await outbox.enqueue(
    ['ann', 'cleo', 'dora', 'finn'].map((who) =>
      mail('Your receipt is here', `${who}.late@customers.example`),
    ),
  );
  const cancelled = await outbox.enqueue(job('old-report'));
  const actor = (by: string, reason: string): Actor => ({
    by,
    key: 'ops',
    via: 'console',
    requestId: null,
    reason,
  });
  await cancel(db, actor('ann', 'nobody reads it any more'), cancelled.id);
  await retry(db, actor('ann', 'deploy v213 mended it'), odd.id);
  await limit(db, actor('ben', 'their API'), 'invoices', readLimits({ rate: '10/m' }));
  await pause(db, actor('ben', 'the bank is away until two'), 'invoices', { forMs: 3_600_000 });
  await processes(db);
  await minutes(db);
  await cronJobs(db);
  return { dead: dead.id, waiting: waiting.id, delivered: delivered.id, running: running.id };
}

/** Two jobs of a manifest that is not there: they are shown, and nobody runs them. */
async function cronJobs(db: Database): Promise<void> {
  const jobs = [
    ['hourly-sync', '0 * * * *', 'UTC', 'all', 100],
    ['nightly-report', '30 2 * * 1-5', 'Europe/Berlin', 'latest', 1],
  ] as const;
  for (const [name, schedule, timeZone, missedTickPolicy, maxCatchUpTicks] of jobs) {
    const facts = { name, schedule, timeZone, missedTickPolicy, maxCatchUpTicks };
    const job = {
      ...facts,
      action: 'reports.make',
      args: {},
      maxCatchUpAgeMs: 604_800_000,
      overlap: 'allow',
    };
    await db.executeSql(
      `insert into waybill.cron_jobs (name, manifest, definition, cursor_at, next_at) values ($1, 'm', $2, now(), now() + interval '40 minutes')`,
      [name, JSON.stringify(job)],
    );
  }
}

/** The minutes of an hour, as a relay would have summed them. */
async function minutes(db: Database): Promise<void> {
  const at = `generate_series(1, 60) i, lateral (select date_trunc('minute', now()) - i * interval '1 minute' as at) m`;
  await db.executeSql(`insert into waybill.series_minutes (at) select at from ${at} on conflict do nothing`);
  await db.executeSql(
    `insert into waybill.series (at, queue, name, n)
     select at, 'jobs', 'delivered', 40 + (i * 37) % 23 from ${at}
     union all select at, 'jobs', 'retried', (i * 7) % 4 from ${at}
     union all select at, 'jobs', 'first_delivered', 38 + (i * 37) % 23 from ${at}
     union all select at, 'jobs', 'first_failed', (i * 7) % 4 from ${at}
     union all select at, 'jobs', 'dead', case when i in (3, 4, 21) then 2 else 0 end from ${at}
     on conflict do nothing`,
  );
  await db.executeSql(
    `insert into waybill.deploys (at, version, application) values (date_trunc('minute', now()) - interval '21 minutes', '0.9.0', 'v214')`,
  );
}

async function processes(db: Database): Promise<void> {
  const roles = [
    ['web', 'v214', 0, []],
    ['relay', 'v214', 0, []],
    ['jobs', 'v214', 25, ['jobs', 'invoices', 'events']],
    ['jobs', 'v213', 25, ['jobs', 'invoices', 'events']],
    ['email', 'v214', 25, ['email']],
    ['scheduler', 'v214', 0, []],
  ] as const;
  for (const [i, [role, version, slots, queues]] of roles.entries())
    await beat(
      db,
      { id: `host-${i}:${4_000 + i}:abc`, role, host: `host-${i}`, pid: 4_000 + i, version },
      slots > 0 ? counts({ slots, busy: 2 + i, queues }) : idle,
    );
}
