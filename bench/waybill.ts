// Waybill as a contender, as deployed: a relay and a worker process with their defaults, metrics and log on. While messages are recorded, the
// queue is paused, as a person would pause it.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { createActionRunner } from '../src/action/run.ts';
import { migrate, standardSources } from '../src/db/migrate.ts';
import { openDatabase, type Database } from '../src/db/pool.ts';
import { byIndexAlone } from '../src/db/prepared.ts';
import { createRegistry } from '../src/define/registry.ts';
import { createOutboxJobDispatcher, createPostgresOutbox } from '../src/index.ts';
import { createNotify } from '../src/outbox/notify.ts';
import { limitQueue } from '../src/operate/limits.ts';
import { pauseSql, resumeSql } from '../src/queues/queues.ts';
import { inFlight, waits } from '../src/outbox/waiting.ts';
import app, { noop, now, placeOrder, tellAction } from './app.ts';
import { startChild, type Child } from './child.ts';
import { rowsOf, steps, type Contender, type Step, type Work } from './contender.ts';
import { empty } from './empty.ts';
import { setups, tables, type Role } from './work.ts';

export type Ours = Contender & {
  readonly db: Database;
  start(role: Role, env?: Readonly<Record<string, string>>): Promise<Child>;
};

/** The works that this commit can be measured at; a later commit reads it. */
export const works: readonly string[] = Object.keys(setups);

/** The limit for a drain. */
const timeoutMs = 300_000;

const openSql = `
  select from (
    (select from waybill.outbox_messages where ${waits()} and available_at <= now() order by queue, priority, group_key, available_at limit 1)
    union all
    (select from waybill.outbox_messages where ${inFlight()} order by relayed_at limit 1)) left_over`;

const deliveredSql = 'select from waybill.outbox_messages where id = $1 and delivered_at is not null';

export type WaybillOptions = {
  readonly work?: Work;
  /** Processes to start with; default: those of the work. */
  readonly roles?: readonly Role[] | undefined;
  /** Modules that the processes load before their own. */
  readonly preloads?: readonly string[];
};

export async function waybill(url: string, options: WaybillOptions = {}): Promise<Ours> {
  const { work = 'noop', preloads = [] } = options;
  const { queue, put, env: its = {}, ...setup } = setups[work];
  const { roles = setup.roles } = options;
  const db = openDatabase({ url, max: 8, applicationName: 'bench', onIdleError: () => undefined });
  await migrate(db, standardSources('bench/app.ts'));
  for (const table of tables.split(';')) await db.executeSql(table);
  const children: Child[] = [];
  async function start(role: Role, env: Readonly<Record<string, string>> = {}): Promise<Child> {
    const all = { DATABASE_URL: url, WAYBILL_APP: 'bench/app.ts', ...its, ...env };
    const profile = process.env['BENCH_PROFILE'];
    const flags = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
    for (const module of ['tsx', ...preloads]) flags.push('--import', module);
    const child = startChild([...flags, `workers/${role}.ts`], all);
    await child.says(`"${role}: started"`);
    children.push(child);
    return child;
  }
  for (const role of roles) await start(role);
  // The queue is paused while messages are recorded; its slow start afterwards is not what is measured.
  await limitQueue(db, queue, { rampMs: 0 }, { by: 'bench', reason: null });

  // A dedicated connection keeps the plans: planning each time was a fortieth of what a drain costs Postgres; peers count in their own process.
  const watch = await db.connect();
  await watch.query(byIndexAlone);
  const isTrue = async (name: string, text: string, values: unknown[] = []): Promise<boolean> =>
    (await watch.query({ name, text, values })).rows.length > 0;
  const isOpen = (): Promise<boolean> => isTrue('open', openSql);
  const isDelivered = (id: string): Promise<boolean> => isTrue('delivered', deliveredSql, [id]);

  const rest = async (ms: number): Promise<void> => {
    for (const child of children) child.check();
    await sleep(ms);
  };

  /** Checks that no message is dead, and that the handlers have done their work. */
  async function check(messages: number): Promise<void> {
    const dead = 'select name, last_error from waybill.outbox_messages where dead_at is not null limit 1';
    const { rows } = await db.executeSql(dead);
    if (rows.length > 0) throw new Error(`a message is dead: ${JSON.stringify(rows[0])}`);
    const sql = 'select count(*)::int as n from written';
    const written = (await db.executeSql<{ n: number }>(sql)).rows[0]!.n;
    const wanted = rowsOf(work) * messages;
    if (written !== wanted) throw new Error(`handlers wrote ${written} rows instead of ${wanted}`);
  }

  const notify = createNotify(db, (error) => console.error(error));
  let committedAt = Number.NaN;
  const runner = createActionRunner({
    db: {
      async transaction(body, begin, rider) {
        const result = await db.transaction(body, begin, rider);
        committedAt = now();
        return result;
      },
    },
    registry: createRegistry(app),
    outboxOn: (tx) => createPostgresOutbox(tx),
    emailFrom: null,
    log: pino({ level: 'silent' }),
    notify,
  });
  const invoker = { type: 'system', source: 'admin' } as const;

  /** Runs an action. Returns the id in its result, and when its commit was answered. */
  async function run({ name }: { readonly name: string }, args: object): Promise<readonly [string, number]> {
    const id = (await runner.run(name, args, { invoker, requestId: 'bench' })) as string;
    return [id, committedAt];
  }

  return {
    name: 'waybill',
    db,
    start,
    async fill(messages) {
      await db.executeSql(pauseSql, [queue, 'bench', 'messages are put in', null, null]);
      for (let i = 0; i < messages; i += 1_000) {
        const numbers = Array.from({ length: Math.min(1_000, messages - i) }, (_, j) => i + j);
        await db.transaction((tx) => put(createPostgresOutbox(tx), numbers));
      }
    },
    async fillLater(messages) {
      const availableAt = new Date(Date.now() + 86_400_000);
      const payloads = Array.from({ length: 1_000 }, () => ({ payload: {}, availableAt }));
      for (let i = 0; i < messages; i += 1_000)
        await createOutboxJobDispatcher(createPostgresOutbox(db)).dispatchMany(noop, payloads);
    },
    async drain(messages, all) {
      // The message that completes the drain: only its row is polled meanwhile.
      const sql = `select id from waybill.outbox_messages where ${waits()} and queue = $2
        and priority = 0 and group_key is null and available_at <= now() order by group_key, available_at offset $1 limit 1`;
      const place = all ? messages - 1 : messages;
      const [last] = (await db.executeSql<{ id: string }>(sql, [place, queue])).rows;
      const began = performance.now();
      await db.executeSql(resumeSql, [queue]);
      const patient = async (ms: number): Promise<void> => {
        if (performance.now() - began > timeoutMs)
          throw new Error(`${messages} messages are not settled after ${timeoutMs / 1_000} s`);
        await rest(ms);
      };
      const often = work === 'fleet' ? 2 : 10; // its drain takes little more than 100 ms
      while (!(await isDelivered(last!.id))) await patient(often);
      while (all && (await isOpen())) await patient(Math.min(often, 5));
      const ms = performance.now() - began;
      if (work !== 'noop') await check(messages);
      return ms;
    },
    async latency(messages) {
      await db.executeSql('truncate began');
      const committed = new Map<string, number>();
      for (let i = 0; i < messages; i++) {
        committed.set(...(await run(tellAction, {})));
        await sleep(20 + (i % 7));
      }
      while (await isOpen()) await rest(50);
      const { rows } = await db.executeSql<{ message_id: string; ms: number }>('select * from began');
      const began = new Map(rows.map(({ message_id, ms }) => [message_id, ms]));
      return [...committed].map(([id, at]) => since(at, began.get(id), `the job ${id}`));
    },
    async action(actions) {
      await db.executeSql('truncate order_began');
      const committed = new Map<string, number>();
      for (let i = 0; i < actions; i++) {
        committed.set(...(await run(placeOrder, { orderId: randomUUID() })));
        await sleep(20);
        while (await isOpen()) await rest(5);
        await sleep(10 + (i % 7)); // idle again, and not in step with any interval
      }
      const { rows } = await db.executeSql<{ order_id: string; step: Step; ms: number }>(
        'select * from order_began',
      );
      const began = new Map(rows.map(({ order_id, step, ms }) => [`${step} ${order_id}`, ms]));
      return Object.fromEntries(
        steps.map((step) => [
          step,
          [...committed].map(([id, at]) =>
            since(at, began.get(`${step} ${id}`), `the ${step} of the order ${id}`),
          ),
        ]),
      ) as Record<Step, number[]>;
    },
    async clear() {
      await db.executeSql(pauseSql, [queue, 'bench', 'cleared', null, null]);
      await sleep(1_500); // prefetched messages are settled
      await empty(db, 'waybill.outbox_messages', 'waybill.outbox_audit');
      await db.executeSql('delete from pgboss.job where name = $1', [queue]);
      await db.executeSql('truncate written');
      await db.executeSql(resumeSql, [queue]);
    },
    pids: () => children.map((child) => child.pid),
    async end() {
      await Promise.all(children.map((child) => child.end()));
      await watch.end();
      await db.end();
    },
  };
}

/** @throws when it never began */
function since(committed: number, began: number | undefined, what: string): number {
  if (began === undefined) throw new Error(`${what} did not begin`);
  return began - committed;
}
