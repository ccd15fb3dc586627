// Ourselves as a contender, as deployed: a relay and a worker process with their defaults, metrics and log on. While messages are put in,
// the queue is paused, as a person would pause it.

import { setTimeout as sleep } from 'node:timers/promises';
import { migrate, standardSources } from '../src/db/migrate.ts';
import { openDatabase, type Database } from '../src/db/pool.ts';
import { byIndexAlone } from '../src/db/prepared.ts';
import type { Transaction } from '../src/db/transaction.ts';
import { jobMessages } from '../src/define/messages.ts';
import { enqueueJob } from '../src/define/recorder.ts';
import { placeOf } from '../src/outbox/hint.ts';
import { createNudge } from '../src/outbox/nudge.ts';
import { createPostgresOutbox } from '../src/outbox/postgres.ts';
import { createTelling } from '../src/outbox/telling.ts';
import { pauseSql, resumeSql } from '../src/outbox/queues.ts';
import { noop, tell } from './app.ts';
import { startChild, type Child } from './child.ts';
import type { Contender } from './contender.ts';

export type Role = 'relay' | 'jobs' | 'email' | 'scheduler' | 'web' | 'all';

export type Ours = Contender & {
  readonly db: Database;
  start(role: Role, env?: Readonly<Record<string, string>>): Promise<Child>;
};

const openSql = `
  select from waybill.outbox_messages where relayed_at is null and cancelled_at is null and available_at <= now()
  union all
  select from waybill.outbox_messages
   where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null limit 1`;

const deliveredSql = 'select from waybill.outbox_messages where id = $1 and delivered_at is not null';

/**
 * @param roles processes to start with
 * @param preloads modules that they load before their own
 */
export async function waybill(
  url: string,
  roles: readonly Role[] = ['relay', 'jobs'],
  preloads: readonly string[] = [],
): Promise<Ours> {
  const db = openDatabase({ url, max: 8, applicationName: 'bench', onIdleError: () => undefined });
  await migrate(db, standardSources('bench/app.ts'));
  await db.executeSql('create table if not exists began (message_id uuid, ms float8)');
  const children: Child[] = [];
  async function start(role: Role, env: Readonly<Record<string, string>> = {}): Promise<Child> {
    const all = { DATABASE_URL: url, WAYBILL_APP: 'bench/app.ts', ...env };
    const profile = process.env['BENCH_PROFILE'];
    const flags = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
    for (const module of ['tsx', ...preloads]) flags.push('--import', module);
    const child = startChild([...flags, `workers/${role}.ts`], all);
    await child.says(`"${role}: started"`);
    children.push(child);
    return child;
  }
  for (const role of roles) await start(role);
  const outbox = createPostgresOutbox(db);

  // A session that keeps its plans: to plan these each time was a fortieth of what a drain costs Postgres, and peers count in their own process.
  const watch = await db.connect();
  await watch.query(byIndexAlone);
  const isTrue = async (name: string, text: string, values: unknown[] = []): Promise<boolean> =>
    (await watch.query({ name, text, values })).rows.length > 0;
  const isOpen = (): Promise<boolean> => isTrue('open', openSql);
  const isDelivered = (id: string): Promise<boolean> => isTrue('delivered', deliveredSql, [id]);

  return {
    name: 'waybill',
    db,
    start,
    async fill(messages) {
      await db.executeSql(pauseSql, ['jobs', 'bench', 'messages are put in']);
      for (let i = 0; i < messages; i += 1_000) {
        const payloads = Array.from({ length: Math.min(1_000, messages - i) }, () => ({ payload: {} }));
        await outbox.enqueue(await jobMessages(noop, payloads));
      }
    },
    async fillLater(messages) {
      const availableAt = new Date(Date.now() + 86_400_000);
      for (let i = 0; i < messages; i += 1_000)
        await outbox.enqueue(
          await jobMessages(
            noop,
            Array.from({ length: 1_000 }, () => ({ payload: {}, availableAt })),
          ),
        );
    },
    async drain(messages, all) {
      // The message after which the drain has its number: one row to look at, while the whole is at work.
      const sql = `select id from waybill.outbox_messages where relayed_at is null and cancelled_at is null and queue = 'jobs'
        and priority = 0 and available_at <= now() order by available_at offset $1 limit 1`;
      const [last] = (await db.executeSql<{ id: string }>(sql, [all ? messages - 1 : messages])).rows;
      const began = performance.now();
      await db.executeSql(resumeSql, ['jobs']);
      const rest = async (ms: number): Promise<void> => {
        for (const child of children) child.check();
        await sleep(ms);
      };
      while (!(await isDelivered(last!.id))) await rest(10);
      while (all && (await isOpen())) await rest(5);
      return performance.now() - began;
    },
    async latency(messages) {
      const nudge = createNudge(db, (error) => console.error(error));
      await db.executeSql('truncate began');
      const committed = new Map<string, number>();
      for (let i = 0; i < messages; i++) {
        const telling = createTelling(nudge); // as an action does it (src/action/run.ts)
        const record = async (tx: Transaction) => ({
          ...(await enqueueJob(createPostgresOutbox(tx), tell, {})),
          recorded: new Set([placeOf({ queue: 'jobs' })]),
        });
        const { id, recorded } = await db.transaction(record, undefined, telling);
        committed.set(id, performance.timeOrigin + performance.now());
        telling.tell(recorded);
        await sleep(20 + (i % 7));
      }
      while (await isOpen()) await sleep(50);
      const { rows } = await db.executeSql<{ message_id: string; ms: number }>('select * from began');
      return rows.flatMap(({ message_id, ms }) =>
        committed.has(message_id) ? [ms - committed.get(message_id)!] : [],
      );
    },
    async clear() {
      await db.executeSql(pauseSql, ['jobs', 'bench', 'cleared']);
      await sleep(1_500); // what was claimed ahead is settled
      const truncate = 'truncate waybill.outbox_messages, waybill.outbox_ledger cascade'; // counts a million rows, which takes its time
      await db.transaction((tx) => tx.executeSql(truncate), 'begin; set local statement_timeout = 0');
      await db.executeSql(`delete from pgboss.job where name = 'jobs'`);
      await db.executeSql(resumeSql, ['jobs']);
    },
    pids: () => children.map((child) => child.pid),
    async end() {
      await Promise.all(children.map((child) => child.end()));
      await watch.end();
      await db.end();
    },
  };
}
