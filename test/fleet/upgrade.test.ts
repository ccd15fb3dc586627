// Two releases on one database: the processes of the previous release beside those of this one, and alone again on the new schema, under load. Real:
// Postgres, pg-boss, and every process of both versions, from their own source (test/support/previous.ts).

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { compileCache } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testFleet, type Running, type TestFleet } from '../support/fleet.ts';
import { marksTables } from '../support/fleet-world.ts';
import { previousRelease, type Previous } from '../support/previous.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase | undefined;
let previous: Previous | undefined;
let fleets: readonly TestFleet[] = [];
afterEach(async () => {
  await Promise.all(fleets.map((fleet) => fleet.end()));
  await database?.end();
  previous?.end();
});

const roles = ['relay', 'jobs'] as const;
const startAll = (fleet: TestFleet): Promise<Running[]> =>
  Promise.all(roles.map((role) => fleet.start(role)));
const ofThis = fileURLToPath(new URL('../..', import.meta.url));

/** Load: jobs, some in order or in groups, some that fail once, events with listeners. It goes on until it is stopped. */
function load({ db }: TestDatabase): { readonly stop: () => Promise<void>; readonly works: () => number } {
  const outbox = createPostgresOutbox(db);
  const job = { kind: 'job', queue: 'jobs' } as const;
  let works = 0;
  let isOver = false;
  async function round(n: number): Promise<void> {
    const work = { ...job, name: 'work', payload: { ms: 10 }, maxAttempts: 10 };
    const flow = { ...work, orderKey: `o-${n % 5}`, group: `g-${n % 3}` };
    const flaky = { ...job, name: 'flaky', payload: { failures: 1 } };
    const event = { kind: 'event' as const, queue: 'events', name: 'happened', payload: { n } };
    await outbox.enqueue([work, work, flow, { ...work, deliveryKey: `k-${n}` }, flaky, event]);
    works += 4;
  }
  const done = (async () => {
    for (let n = 0; !isOver; n++) {
      await round(n);
      await until(async () => (await unfinished({ db })) < 100, { what: 'the load to be worked off' });
    }
  })();
  return { works: () => works, stop: () => ((isOver = true), done) };
}

async function unfinished({ db }: Pick<TestDatabase, 'db'>): Promise<number> {
  const sql = `select count(*)::int as n from waybill.outbox_messages where status in ('pending', 'sending', 'failed')`;
  return (await db.executeSql<{ n: number }>(sql)).rows[0]!.n;
}

/** Waits until each of these processes has run many jobs from now on. */
async function busy({ db }: TestDatabase, processes: readonly Running[]): Promise<void> {
  const sql = 'select pid, count(*)::int as n from marks where at > $1 group by 1';
  const { rows: clock } = await db.executeSql<{ now: string }>('select clock_timestamp()::text as now');
  const pids = processes.filter(({ role }) => role === 'jobs').map(({ pid }) => pid);
  await until(
    async () => {
      const { rows } = await db.executeSql<{ pid: number; n: number }>(sql, [clock[0]!.now]);
      return pids.every((pid) => rows.some((row) => row.pid === pid && row.n >= 20));
    },
    { what: 'every process at work', timeoutMs: 40_000 },
  );
}

const stopAll = async (all: readonly Running[]): Promise<void> =>
  expect(await Promise.all(all.map((one) => one.stop()))).toEqual(all.map(() => 0));

/** Errors, and whatever speaks of a column, function or table that is not there. */
const complaints = (all: readonly Running[]): unknown[] =>
  all.flatMap(({ lines }) =>
    lines.filter(
      (line) =>
        Number(line['level']) >= 50 || /does not exist|\b4(2703|2P01|2883)\b/.test(JSON.stringify(line)),
    ),
  );

it(
  'the previous release and this one work beside each other, and the previous one alone again, on the new schema',
  { timeout: 240_000 },
  async (test) => {
    const found = previousRelease();
    if (typeof found === 'string') {
      console.warn(`NOT TESTED, whether two releases work beside each other: ${found}`);
      return test.skip(found);
    }
    previous = found;
    const here = (database = await testDatabase({ migrated: false }));
    const env = {
      DATABASE_URL: here.url,
      WAYBILL_APP: 'test/support/fleet-app.ts',
      WAYBILL_POLL_INTERVAL: '200ms',
    };
    const [older, newer] = [testFleet(env, found.folder), testFleet(env)];
    fleets = [older, newer];
    const release = (root: string) =>
      spawnSync(process.execPath, ['src/cli/main.ts', 'release'], {
        cwd: root,
        env: { PATH: process.env['PATH'], ...compileCache, ...env },
        encoding: 'utf8',
      });

    expect(release(found.folder)).toMatchObject({ status: 0 });
    await here.db.executeSql(marksTables);
    const before = await migrations(here);
    const old = await startAll(older);
    const sent = load(here);
    await busy(here, old);

    expect(release(ofThis)).toMatchObject({ status: 0 });
    const fresh = await startAll(newer);
    await busy(here, [...old, ...fresh]);
    await stopAll(fresh);
    await busy(here, old); // gone back: the older processes alone
    const isMigrated = (await migrations(here)) > before;
    const { status, stderr } = release(found.folder);
    if (isMigrated) expect(stderr).toContain('schema_newer');
    expect(status === 0).toBe(!isMigrated);
    const again = await startAll(newer);
    await stopAll(old);
    await busy(here, again);
    await sent.stop();
    await until(async () => (await unfinished(here)) === 0, { what: 'a quiet outbox', timeoutMs: 40_000 });
    await stopAll(again);

    const { rows } = await here.db.executeSql(
      `select status, count(*)::int as n from waybill.outbox_messages where name = 'work' group by 1`,
    );
    expect(rows).toEqual([{ status: 'delivered', n: sent.works() }]);
    const twice = await here.db.executeSql(
      `select message_id from marks group by message_id having count(*) > 1`,
    );
    expect(twice.rows).toEqual([]); // nobody was killed
    expect((await here.db.executeSql(`select from marks where what = 'work'`)).rows).toHaveLength(
      sent.works(),
    );
    expect((await verifyOutbox(here.db)).findings).toEqual([]);
    expect(complaints([...old, ...fresh, ...again])).toEqual([]);
  },
);

async function migrations({ db }: TestDatabase): Promise<number> {
  return (await db.executeSql<{ n: number }>('select count(*)::int as n from waybill.migrations')).rows[0]!.n;
}
