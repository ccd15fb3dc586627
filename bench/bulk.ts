// The benchmark of bulk acts: cancels 20,000 scheduled messages by a filter at full rate, while others are recorded and delivered beside it. The paces
// before and after each act are what its pace is compared with.

import { setTimeout as sleep } from 'node:timers/promises';
import { start } from '../src/acts/bulk.ts';
import { jobMessages } from '../src/define/messages.ts';
import { showBulk } from '../src/operate/bulk.ts';
import { createNotify } from '../src/outbox/notify.ts';
import { createPostgresOutbox } from '../src/store/postgres.ts';
import { noop, wait } from './app.ts';
import { median } from './rounds.ts';
import { openField } from './field.ts';

export type BulkOptions = { readonly messages?: number | undefined; readonly rounds?: number | undefined };

/** Settled messages that are there beside the others. */
const settled = 300_000;
const part = 20_000;
const windowMs = 8_000;
/** Connections that record, one message at a time. */
const recorders = 3;

const settledSql = `
  insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, status, attempts, relayed_at, delivered_at, revision, ends)
  select waybill.outbox_new_id(), 'job', 'old', 'old', '{}', 5, 'delivered', 1, now(), now(), 0, 1 from generate_series(1, $1::int)`;

const person = { by: 'bench', key: null, via: 'cli', requestId: null, reason: null } as const;

export async function bulk({ messages = 20_000, rounds = 5 }: BulkOptions = {}) {
  const field = await openField({ peers: [], roles: ['relay', 'jobs'] });
  const { db } = field.ours;
  const outbox = createPostgresOutbox(db);
  const notify = createNotify(db, () => undefined);
  let recorded = 0;
  let ends = false;
  async function record(): Promise<void> {
    while (!ends) {
      await outbox.enqueue((await jobMessages(noop, [{ payload: {} }]))[0]!);
      recorded += 1;
      notify(['jobs:0']);
    }
  }
  const countSql = `select coalesce(sum(n), 0)::float8 as n from waybill.outbox_audit where outcome = 'delivered'`;
  const delivered = async () => (await db.executeSql<{ n: number }>(countSql)).rows[0]!.n;
  async function paceUntil(isOver: () => Promise<boolean>): Promise<Pace> {
    const [before, sent, began] = [await delivered(), recorded, performance.now()];
    while (!(await isOver())) await sleep(100);
    const seconds = (performance.now() - began) / 1_000;
    return {
      seconds,
      recorded: (recorded - sent) / seconds,
      delivered: ((await delivered()) - before) / seconds,
    };
  }
  function pace(): Promise<Pace> {
    const until = performance.now() + windowMs;
    return paceUntil(async () => performance.now() > until);
  }
  try {
    for (let i = 0; i < settled; i += part) await db.executeSql(settledSql, [part]);
    await db.executeSql('analyze waybill.outbox_messages');
    const recording = Promise.all(Array.from({ length: recorders }, record));
    const acts: Act[] = [];
    while (acts.length < rounds) {
      const later = new Date(Date.now() + 86_400_000);
      const payloads = Array.from({ length: 1_000 }, () => ({ payload: { ms: 1 }, availableAt: later }));
      for (let i = 0; i < messages; i += 1_000) await outbox.enqueue(await jobMessages(wait, payloads));
      await pace(); // the relay and the workers come back to theirs meanwhile
      const before = await pace();
      const { id } = await start(db, person, { action: 'cancel', filter: { name: ['wait'] }, expect: 'any' });
      const during = await paceUntil(async () => (await showBulk(db, id)).state === 'done');
      const after = await pace();
      const share = (name: 'recorded' | 'delivered') => (2 * during[name]) / (before[name] + after[name]);
      acts.push({
        seconds: during.seconds,
        changed: (await showBulk(db, id)).changed,
        recording: share('recorded'),
        delivery: share('delivered'),
      });
    }
    ends = true;
    await recording;
    const of = (name: keyof Act): number => median(acts.map((act) => act[name]));
    return {
      messages,
      seconds: of('seconds'),
      slowestSeconds: Math.max(...acts.map(({ seconds }) => seconds)),
      paceOfRecording: of('recording'),
      paceOfDelivery: of('delivery'),
      acts,
    };
  } finally {
    ends = true;
    await field.end();
  }
}

/** Messages a second. */
type Pace = { readonly seconds: number; readonly recorded: number; readonly delivered: number };
/** `recording` and `delivery`: parts of the pace without the act. */
type Act = {
  readonly seconds: number;
  readonly changed: number;
  readonly recording: number;
  readonly delivery: number;
};
