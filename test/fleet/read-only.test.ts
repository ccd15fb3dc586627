// A fleet whose database takes no writes: closed by default_transaction_read_only, and a real standby that is promoted later. Web, relay and workers
// run in one process that is never restarted.

import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { migrate, standardSources } from '../../src/db/migrate.ts';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { openQueue } from '../../src/queue/boss.ts';
import { waybill } from '../support/command.ts';
import { testDatabase } from '../support/database.ts';
import { testFleet } from '../support/fleet.ts';
import { hasStandby, startPair } from '../support/standby.ts';
import { startSwitch } from '../support/switch.ts';
import { until } from '../support/wait.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

type Answer = { readonly status: number; readonly body: Record<string, unknown> };

/** The example's application under one process, and what it answers. */
async function started(databaseUrl: string) {
  const port = await freePort();
  const fleet = testFleet({
    DATABASE_URL: databaseUrl,
    WAYBILL_APP: 'app/index.ts',
    WAYBILL_API_KEY: 'key-of-the-test',
    WAYBILL_EMAIL_PROVIDER: 'inbox',
    WAYBILL_EMAIL_FROM: 'shop@example.test',
    PORT: String(port),
  });
  ends.push(() => fleet.end());
  const all = await fleet.start('all');
  const order = {
    method: 'POST',
    headers: { authorization: 'Bearer key-of-the-test', 'content-type': 'application/json' },
    body: JSON.stringify({
      customerEmail: 'ann@shop.test',
      items: [{ sku: 'tea', quantity: 1, unitPriceCents: 450 }],
    }),
  };
  async function ask(path: string, init: RequestInit = {}): Promise<Answer> {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, init);
    return { status: answer.status, body: (await answer.json()) as Answer['body'] };
  }
  const becomes = (path: string, init: RequestInit, fits: (answer: Answer) => boolean): Promise<Answer> =>
    until(
      async () => {
        const answer = await ask(path, init).catch(() => undefined);
        return answer && fits(answer) && answer;
      },
      { timeoutMs: 60_000, what: `another answer of ${path}` },
    );
  return {
    all,
    ready: () => becomes('/readyz', {}, ({ status }) => status === 200),
    red: (words: RegExp) =>
      becomes(
        '/readyz',
        {},
        ({ status, body }) => status === 503 && words.test(JSON.stringify(body['checks'])),
      ),
    order: (status: number, code?: string) =>
      becomes(
        '/orders',
        order,
        (answer) => answer.status === status && (code === undefined || answer.body['code'] === code),
      ),
  };
}

async function delivered(db: Database, least: number): Promise<void> {
  const sql = `select count(*)::int as n from waybill.outbox_messages where status = 'delivered'`;
  await until(async () => (await db.executeSql<{ n: number }>(sql)).rows[0]!.n >= least, {
    timeoutMs: 60_000,
    what: `${least} delivered messages`,
  });
}

const opened = (url: string): Database => {
  const db = openDatabase({ url, max: 2, applicationName: 'test', onIdleError: () => undefined });
  ends.push(() => db.end());
  return db;
};

describe('a database that takes no writes', () => {
  it('closed by a setting: web says so and goes on by itself when it is open again', async () => {
    const database = await testDatabase();
    ends.push(() => database.end());
    const { order, ready, red, all } = await started(database.url);
    await ready();
    await order(200);
    await delivered(database.db, 1);
    const name = new URL(database.url).pathname.slice(1);
    await database.db.executeSql(`alter database ${name} set default_transaction_read_only = on`);
    const cut = `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'waybill all%' and datname = current_database()`;
    await database.db.executeSql(cut);
    await red(/DATABASE_URL is read-only/);
    await order(503, 'database_read_only');
    const doctor = await waybill(['doctor'], { DATABASE_URL: database.url });
    expect([doctor.code, doctor.stdout]).toEqual([3, expect.stringMatching(/database_not_writable/)]);
    await database.db.executeSql(`alter database ${name} reset default_transaction_read_only`);
    await ready(); // the sessions that began as read-only are left by themselves
    await order(200);
    await delivered(database.db, 2);
    expect(await all.stop()).toBe(0);
  });

  it.skipIf(!hasStandby)(
    'a standby behind the same address: named, and left for the primary that it becomes',
    async () => {
      const pair = await startPair();
      ends.push(() => pair.end());
      const primary = opened(pair.primaryUrl);
      await migrate(primary, standardSources('app/index.ts'));
      const queue = openQueue({
        db: primary,
        queueDb: primary,
        backend: 'postgres',
        onError: () => undefined,
      });
      await queue.install();
      await queue.close();
      const address = await startSwitch(Number(new URL(pair.primaryUrl).port));
      ends.push(() => address.end());
      const url = new URL(pair.primaryUrl);
      url.port = String(address.port);
      const { order, ready, red, all } = await started(url.href);
      await ready();
      await order(200);
      await delivered(primary, 1);
      const standby = opened(pair.standbyUrl);
      await delivered(standby, 1);
      address.lead(pair.standbyPort, 'cut');
      await red(/DATABASE_URL is a read-only standby/);
      await order(503, 'database_read_only');
      const release = await waybill(['release'], { DATABASE_URL: url.href });
      expect([release.code, release.stderr]).toEqual([
        69,
        expect.stringMatching(/DATABASE_URL is a read-only standby.*primary/),
      ]);
      pair.promote();
      await ready();
      await order(200);
      await delivered(standby, 2);
      expect(await all.stop()).toBe(0);
    },
  );
});
