// The drills of docs/incidents.md: how each incident comes about, what each step has to show, and what people do beside the commands, such as to
// mend a cause. The application is test/support/drills-app.ts.

import pg from 'pg';
import { expect } from 'vitest';
import { start } from '../../src/acts/bulk.ts';
import type { Database } from '../../src/db/pool.ts';
import type { NewMessage } from '../../src/message/message.ts';
import type { Actor } from '../../src/operate/audit.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { showQueue } from '../../src/queues/queues.ts';
import { wrongDomain } from './drills-app.ts';
import type { TestFleet } from './fleet.ts';
import { until } from './wait.ts';

export type Stage = {
  readonly db: Database;
  readonly url: string;
  readonly outbox: OutboxPort;
  readonly fleet: TestFleet;
  /** Messages that die, and wrong emails. */
  readonly sizes: { readonly dead: number; readonly wrong: number };
  /** The values of the words in capitals. */
  readonly words: Record<string, string>;
};

type Step = {
  before?(stage: Stage): Promise<void> | void;
  /** @param said what the commands of the step printed */
  after?(said: string, stage: Stage): Promise<void> | void;
};

export type Drill = {
  /** Of its section in docs/incidents.md. */
  readonly title: string;
  setup(stage: Stage): Promise<void>;
  readonly steps: readonly Step[];
};

const uuid = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

async function record({ outbox }: Stage, count: number, message: NewMessage): Promise<string[]> {
  const ids: string[] = [];
  for (let left = count; left > 0; left -= 1_000) {
    const batch = Array.from({ length: Math.min(left, 1_000) }, () => message);
    ids.push(...(await outbox.enqueue(batch)).map(({ id }) => id));
  }
  return ids;
}

const sync = (fault = 'none'): NewMessage => ({
  kind: 'job',
  name: 'sync-contact',
  queue: 'jobs',
  payload: { fault },
  maxAttempts: 1,
});

export const mail = (to: string, tag: string): NewMessage => ({
  kind: 'email',
  name: 'email',
  queue: 'email',
  payload: { from: 'shop@shop.example', to: [to], subject: 'Your order', text: 'Thank you.' },
  tags: [tag],
});

export async function countOf(
  { db }: Pick<Stage, 'db'>,
  where: string,
  values: unknown[] = [],
): Promise<number> {
  const sql = `select count(*)::int as n from waybill.outbox_messages where ${where}`;
  return (await db.executeSql<{ n: number }>(sql, values)).rows[0]!.n;
}

export async function reached(
  stage: Pick<Stage, 'db'>,
  n: number,
  where: string,
  values?: unknown[],
): Promise<void> {
  const isSo = async (): Promise<boolean> => (await countOf(stage, where, values)) === n;
  await until(isSo, { timeoutMs: 60_000, what: `${n} with ${where}` });
}

const fault = async ({ db }: Stage, name: string): Promise<void> =>
  void (await db.executeSql('insert into faults values ($1) on conflict do nothing', [name]));
const mend = async ({ db }: Stage, name: string): Promise<void> =>
  void (await db.executeSql('delete from faults where name = $1', [name]));

const tagged = `tags @> array[$1::text]`;
const idOf = (said: string): string => uuid.exec(said)![0];

/** Keeps the count of a preview for the act. */
const counted: Step = {
  after(said, { words }) {
    words['COUNT'] = /^(\d+) messages would be/m.exec(said)![1]!;
  },
};

const receipt: Drill = {
  title: 'A receipt did not arrive',
  async setup(stage) {
    await record(stage, 1, { ...mail(`ann@${wrongDomain}`, 'order:981104'), deliveryKey: 'receipt-981104' });
    await reached(stage, 1, `${tagged} and status = 'dead'`, ['order:981104']);
  },
  steps: [
    {
      after(said, { words }) {
        expect(said).toContain('dead');
        words['ID'] = idOf(said);
      },
    },
    { after: (said) => expect(said).toContain('550 5.1.1') },
    {
      async after(said, stage) {
        stage.words['COPY'] = idOf(said);
        await reached(stage, 1, `id = $1 and status = 'delivered'`, [stage.words['COPY']]);
      },
    },
    { after: (said) => expect(said).toMatch(/status +delivered[^]*accepted .*250 2\.0\.0 OK/) },
  ],
};

const causes: Drill = {
  title: 'Messages died of several causes',
  async setup(stage) {
    const { dead } = stage.sizes;
    await fault(stage, 'crm');
    await fault(stage, 'currency');
    await record(stage, dead * 0.6, sync('crm'));
    await record(stage, dead * 0.3, sync('currency'));
    await record(stage, dead * 0.1, mail(`who@${wrongDomain}`, 'causes'));
    await reached(stage, dead * 0.9, `name = 'sync-contact' and status = 'dead'`);
    await reached(stage, dead * 0.1, `${tagged} and status = 'dead'`, ['causes']);
  },
  steps: [
    {
      after(said, { words, sizes }) {
        expect(said).toMatch(new RegExp(`^${sizes.dead * 0.6} .*ENOTFOUND`, 'm'));
        expect(said).toMatch(new RegExp(`^${sizes.dead * 0.3} .*Invalid currency code`, 'm'));
        expect(said).toMatch(/user unknown/);
        words['ID'] = idOf(/^.*Invalid currency code.*$/m.exec(said)![0]);
      },
    },
    {
      async after(said, stage) {
        expect(said).toMatch(/drills-app\.ts/);
        await mend(stage, 'crm');
      },
    },
    counted,
    {
      async after(_, stage) {
        await reached(stage, stage.sizes.dead * 0.6, `name = 'sync-contact' and status = 'delivered'`);
        await mend(stage, 'currency');
      },
    },
    {
      async after(said, stage) {
        expect(said).not.toMatch(/ENOTFOUND|Invalid currency code/);
        await reached(stage, stage.sizes.dead * 0.9, `name = 'sync-contact' and status = 'delivered'`);
        await reached(stage, stage.sizes.dead * 0.1, `${tagged} and status = 'dead'`, ['causes']);
      },
    },
  ],
};

const wrongEmails: Drill = {
  title: 'A deploy recorded wrong emails',
  setup: async (stage) =>
    void (await record(stage, stage.sizes.wrong, mail('who@customers.example', 'welcome'))),
  steps: [
    {
      after: (_, stage) => reached(stage, 0, `${tagged} and status = 'sending'`, ['welcome']),
    },
    counted,
    {
      after: (_, stage) =>
        reached(stage, 0, `${tagged} and status not in ('cancelled', 'delivered')`, ['welcome']),
    },
    {
      async after(said, stage) {
        const sent = await countOf(stage, `${tagged} and status = 'delivered'`, ['welcome']);
        expect(Number(said)).toBe(sent);
        expect(await countOf(stage, `${tagged} and status = 'cancelled'`, ['welcome'])).toBe(
          stage.sizes.wrong - sent,
        );
        expect(sent).toBeLessThan(stage.sizes.wrong / 2);
      },
    },
    {
      async after(_, stage) {
        await record(stage, 1, mail('who@customers.example', 'right'));
        await reached(stage, 1, `${tagged} and status = 'delivered'`, ['right']);
      },
    },
  ],
};

const flood: Drill = {
  title: 'One tenant floods a queue',
  async setup(stage) {
    const message = { kind: 'job', name: 'export-data', queue: 'exports', payload: {} } as const;
    await record(stage, stage.sizes.wrong / 2, { ...message, group: 'tenant-42' });
    await record(stage, 5, { ...message, group: 'tenant-7' });
  },
  steps: [
    { after: (said) => expect(said.split('\n')[1]).toMatch(/^tenant-42 /) },
    {
      after: (_, stage) =>
        reached(stage, 5, `queue = 'exports' and group_key = 'tenant-7' and status = 'delivered'`),
    },
    counted,
    {},
    {
      async after(_, stage) {
        const due = `queue = 'exports' and group_key = 'tenant-42' and status in ('pending', 'failed') and available_at`;
        expect(await countOf(stage, `${due} < now() + interval '7 hours'`)).toBe(0);
        expect(await countOf(stage, `${due} > now() + interval '7 hours'`)).toBe(
          Number(stage.words['COUNT']),
        );
        const { limits } = await showQueue(stage.db, 'exports');
        expect(limits.effective).toMatchObject({ groupConcurrency: 1 });
      },
    },
  ],
};

const quota: Drill = {
  title: `The provider's quota is used up`,
  async setup(stage) {
    await fault(stage, 'quota');
    await record(stage, 5, mail('who@customers.example', 'reset'));
    await record(stage, 20, mail('who@customers.example', 'newsletter'));
    await until(async () => (await showQueue(stage.db, 'email')).state === 'parked', {
      what: 'the parked queue',
    });
  },
  steps: [
    { after: (said) => expect(said).toMatch(/^email +parked .*quota/m) },
    counted,
    {},
    { after: (_, stage) => mend(stage, 'quota') },
    {
      async after(_, stage) {
        await reached(stage, 5, `${tagged} and status = 'delivered'`, ['reset']);
        // The message of the probe that was under way is not held.
        const held = await countOf(stage, `${tagged} and available_at > now() + interval '7 hours'`, [
          'newsletter',
        ]);
        expect(held).toBeGreaterThanOrEqual(19);
        expect(await showQueue(stage.db, 'email')).toMatchObject({ state: 'open' });
      },
    },
  ],
};

const erase: Drill = {
  title: 'Erase a person',
  async setup(stage) {
    const eve = 'eve@customers.example';
    await record(stage, 2, mail(eve, 'eve'));
    await record(stage, 1, { ...sync(), payload: { fault: 'none', contact: eve }, tags: ['eve'] });
    await reached(stage, 3, `${tagged} and status = 'delivered'`, ['eve']);
    await record(stage, 1, { ...mail(eve, 'eve'), availableAt: new Date(Date.now() + 3_600_000) });
    await stage.db.executeSql(
      `insert into waybill.email_suppressions (address, reason) values ($1, 'bounced')`,
      [eve],
    );
  },
  steps: [
    {
      after(said) {
        expect(said).toMatch(/^messages +3 /m);
        expect(said).toMatch(/^mentions +1 /m);
        expect(said).toMatch(/^suppressions +1 /m);
      },
    },
    {
      async after(_, stage) {
        await reached(stage, 4, `${tagged} and payload = '{"erased": true}'`, ['eve']);
        await reached(stage, 1, `${tagged} and status = 'cancelled'`, ['eve']);
      },
    },
    { after: (said) => expect(said).toMatch(/^nothing holds this address/) },
  ],
};

const hang: Drill = {
  title: 'A handler hangs',
  async setup(stage) {
    await fault(stage, 'bank');
    await record(stage, 1, { kind: 'job', name: 'charge-card', queue: 'payments', payload: {} });
    await reached(stage, 1, `name = 'charge-card' and status = 'sending'`);
  },
  steps: [
    {
      after(said, { words }) {
        words['ID'] = idOf(/^.* charge-card .*$/m.exec(said)![0]);
      },
    },
    { after: (said) => expect(said).toMatch(/^payments +paused/m) },
    { after: (said) => expect(said).toMatch(/status +sending/) },
    {
      async after(_, stage) {
        await reached(stage, 1, `name = 'charge-card' and status = 'dead'`);
        await mend(stage, 'bank');
      },
    },
    {
      after: (_, stage) => reached(stage, 1, `name = 'charge-card' and status = 'delivered'`),
    },
  ],
};

/** Rows that were delivered longer ago than the relays of the drill keep them. */
const oldRows = `
  insert into waybill.outbox_messages (id, kind, name, queue, payload, status, attempts, max_attempts, created_at, available_at, relayed_at, delivered_at, revision)
  select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7000' || '8000' || lpad(to_hex(i), 12, '0'))::uuid, 'job', 'old', 'jobs', '{}',
         'delivered', 1, 1, at, at, at, at, 0
    from generate_series(1, $1) i, lateral (select now() - interval '29 days 12 hours' as at) t`;

const disk: Drill = {
  title: 'The disk fills',
  async setup({ db, url, sizes }) {
    const holder = new pg.Client({ connectionString: url, application_name: 'month-end' });
    holder.on('error', () => undefined); // the drill ends it
    await holder.connect();
    await holder.query('begin isolation level repeatable read; select 1');
    await db.executeSql(oldRows, [sizes.wrong]);
    await db.executeSql(`update waybill.outbox_messages set payload = '{"n": 1}' where name = 'old'`);
  },
  steps: [
    {
      after(said, { words }) {
        const [, pid] = /held back by the transaction "month-end" of pid (\d+), idle in transaction/.exec(
          said,
        )!;
        words['PID'] = pid!;
      },
    },
    {},
    {
      async before(stage) {
        await stage.fleet.start('relay', { WAYBILL_DELIVERED_RETENTION: '29d' });
        await reached(stage, 0, `name = 'old'`);
      },
      after: (said) => expect(said).toMatch(/outbox_messages .* \d+ rows\n/),
    },
    {
      async before({ db, sizes }) {
        const sql = `select n_tup_del::int as n from pg_stat_all_tables where relid = 'waybill.outbox_messages'::regclass`;
        const isKnown = async (): Promise<boolean> =>
          (await db.executeSql<{ n: number }>(sql)).rows[0]!.n >= sizes.wrong;
        await until(isKnown, { what: 'the statistics of the deletions' });
      },
    },
    {
      after(said, { sizes }) {
        expect(said).not.toContain('month-end');
        const [, dead] = /^outbox_messages +\S+ \S+ +\S+ \S+ +\d+ +(\d+)/m.exec(said)!;
        expect(Number(dead)).toBeLessThan(sizes.wrong);
      },
    },
  ],
};

const who: Drill = {
  title: 'Who did this, and why',
  async setup(stage) {
    await fault(stage, 'crm');
    const [id] = await record(stage, 3, { ...sync('crm'), tags: ['who'] });
    await reached(stage, 3, `${tagged} and status = 'dead'`, ['who']);
    await mend(stage, 'crm');
    const ann: Actor = { by: 'ann', key: null, via: 'console', requestId: null, reason: 'the CRM is back' };
    await start(stage.db, ann, { action: 'retry', filter: { tag: 'who' } });
    await reached(stage, 3, `${tagged} and status = 'delivered'`, ['who']);
    stage.words['ID'] = id!;
  },
  steps: [
    {
      after(said, { words }) {
        words['BULK'] = /retried by the bulk act (\S+) of ann \(console\): the CRM is back/.exec(said)![1]!;
      },
    },
    {
      after: (said) =>
        expect(said).toMatch(/filter: +\{"tag":"who"\}[^]*3 of 3 retried[^]*by: +ann \(console\)/),
    },
    { after: (said) => expect(said).toMatch(/ann +console +bulk\.start .* the CRM is back/) },
  ],
};

/** Its runs were skipped before the fleet began. */
const cron: Drill = {
  title: 'A cron run is missing',
  setup: async () => undefined,
  steps: [
    { after: (said) => expect(said).toMatch(/^nightly-report .* skipped /m) },
    { after: (said) => expect(said).toMatch(/^nightly-report .* skipped .* too_old$/m) },
    { after: (said) => expect(said).toMatch(/2[34] would run/) },
    {
      async after(said, { db }) {
        const runs = Number(/(\d+) are dispatched/.exec(said)![1]);
        const sql = 'select count(*)::int as n from reports';
        await until(async () => (await db.executeSql<{ n: number }>(sql)).rows[0]!.n >= runs, {
          what: 'the reports',
        });
      },
    },
    { after: (said) => expect(said).toMatch(/^(nightly-report .* succeeded .*\n){5}$/m) },
  ],
};

export const drills: readonly Drill[] = [
  receipt,
  causes,
  wrongEmails,
  flood,
  quota,
  erase,
  hang,
  disk,
  who,
  cron,
];
