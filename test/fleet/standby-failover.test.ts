// A primary with a synchronous standby, killed under load. Real: both servers (Debian's Postgres), the fleet's processes, the mails' server, and the
// address that leads to the primary. The second test has Patroni decide which server that is. Doubled: the loss of a machine is kill -9.

import { afterEach, describe, expect, it } from 'vitest';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { waybill } from '../support/command.ts';
import { testFleet } from '../support/fleet.ts';
import { arrivals, ordersTable, placeOrders, type OrderLoad } from '../support/order-load.ts';
import { hasPatroni, startPatroni } from '../support/patroni.ts';
import { startSmtp, type SmtpServer } from '../support/smtp.ts';
import { hasStandby, startPair } from '../support/standby.ts';
import { startSwitch } from '../support/switch.ts';
import { until } from '../support/wait.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  const failed: unknown[] = [];
  for (const end of ends.splice(0).toReversed())
    await Promise.resolve()
      .then(end)
      .catch((error: unknown) => failed.push(error)); // the others must end all the same
  if (failed.length > 0) throw new AggregateError(failed, 'not everything could be ended');
});

const opened = (url: string): Database => {
  const db = openDatabase({ url, max: 2, applicationName: 'test', onIdleError: () => undefined });
  ends.push(() => db.end());
  return db;
};

/** Of each of the two workers. */
const slots = 4;

/** A fleet that mails, and orders that are placed through the same address. */
async function started(url: string) {
  const smtp = await startSmtp();
  ends.push(() => smtp.close());
  const env = {
    DATABASE_URL: url,
    WAYBILL_APP: 'test/support/fleet-app.ts',
    WAYBILL_EMAIL_PROVIDER: 'smtp',
    SMTP_URL: smtp.url,
    WAYBILL_CONCURRENCY: String(slots),
    WAYBILL_LEASE: '3s',
  };
  const released = await waybill(['release'], env);
  expect(released.code, released.stderr).toBe(0);
  const db = openDatabase({ url, max: 1, applicationName: 'test', onIdleError: () => undefined });
  await db.executeSql(ordersTable);
  await db.end();
  const fleet = testFleet(env);
  ends.push(() => fleet.end());
  await Promise.all([fleet.start('relay'), fleet.start('email'), fleet.start('email')]);
  const orders = placeOrders(url, 20);
  ends.push(() => orders.stop());
  await until(() => arrivals(smtp).size >= 100, { what: 'a hundred receipts', timeoutMs: 60_000 });
  return { smtp, orders };
}

/** Acknowledged orders whose receipt has not arrived. */
function missing({ smtp, orders }: { smtp: SmtpServer; orders: OrderLoad }): string[] {
  const arrived = arrivals(smtp);
  return [...orders.acknowledged].filter((id) => !arrived.has(id));
}

type Shop = Awaited<ReturnType<typeof started>>;

/** Milliseconds from now to the first receipt, and until those of all orders but a few have arrived. */
async function recovery(shop: Shop): Promise<{ first: number; all: number }> {
  const [began, before] = [performance.now(), shop.smtp.mails.length];
  const acknowledged = shop.orders.acknowledged.size;
  const patience = { timeoutMs: 60_000, what: 'receipts after the promotion' };
  await until(() => shop.smtp.mails.length > before, patience);
  const first = performance.now() - began;
  const caughtUp = (): boolean =>
    shop.orders.acknowledged.size > acknowledged && missing(shop).length < 4 * slots;
  await until(caughtUp, patience);
  return { first, all: performance.now() - began };
}

/** @param faults how often a server went away, which may double what was in flight */
async function nothingIsLost(shop: Shop, db: Database, faults: number): Promise<string> {
  await shop.orders.stop();
  await until(() => missing(shop).length === 0, { timeoutMs: 60_000, what: 'every receipt' });
  const { rows } = await db.executeSql<{ id: string }>('select id from orders');
  const committed = new Set(rows.map(({ id }) => id));
  expect([...shop.orders.acknowledged].filter((id) => !committed.has(id))).toEqual([]);
  await until(() => [...committed].every((id) => arrivals(shop.smtp).has(id)), {
    what: 'unanswered commits',
  });
  const arrived = arrivals(shop.smtp);
  expect([...arrived.keys()].filter((id) => !committed.has(id))).toEqual([]);
  const doubled = [...arrived.values()].reduce((sum, n) => sum + n - 1, 0);
  expect(doubled).toBeLessThanOrEqual(faults * 2 * 2 * slots);
  expect((await verifyOutbox(db)).findings).toEqual([]);
  return `${shop.orders.acknowledged.size} orders acknowledged, 0 lost, ${doubled} receipts twice`;
}

describe('a primary that dies', () => {
  it.skipIf(!hasStandby)(
    'A, B: loses no acknowledged order to its synchronous standby, nor when it comes back as a second primary',
    { timeout: 180_000 },
    async () => {
      const pair = await startPair({ synchronous: true });
      ends.push(() => pair.end());
      const address = await startSwitch(pair.primaryPort);
      ends.push(() => address.end());
      const url = new URL(pair.primaryUrl);
      url.port = String(address.port);
      const shop = await started(url.href);
      await pair.killPrimary();
      pair.promote();
      address.lead(pair.standbyPort, 'cut');
      const { first, all } = await recovery(shop);

      await pair.restartPrimary();
      const old = opened(pair.primaryUrl);
      address.lead(pair.primaryPort, 'cut');
      const hanging = `select true from pg_stat_activity where wait_event = 'SyncRep' limit 1`;
      await until(async () => (await old.executeSql(hanging)).rows[0], { what: 'a commit that hangs' });
      address.lead(pair.standbyPort, 'cut');

      // What the old primary acknowledges would not be found on the new one.
      const words = await nothingIsLost(shop, opened(pair.standbyUrl), 3);
      console.log(
        `${words}; first receipt ${first.toFixed(0)} ms after the promotion, up to date after ${all.toFixed(0)} ms`,
      );
    },
  );

  it.skipIf(!hasPatroni)(
    'A, B: under Patroni, nothing that was acknowledged is lost',
    { timeout: 240_000 },
    async () => {
      const cluster = await startPatroni();
      ends.push(() => cluster.end());
      const shop = await started(cluster.url);
      const killed = performance.now();
      const primary = await cluster.killPrimary();
      await until(async () => (await cluster.primary()) !== primary && (await cluster.primary()), {
        timeoutMs: 90_000,
        what: 'a promotion by Patroni',
      });
      const promoted = performance.now() - killed;
      const { first, all } = await recovery(shop);
      await until(() => cluster.hasStandby(), { timeoutMs: 90_000, what: 'the old primary as a standby' });
      const words = await nothingIsLost(shop, opened(cluster.url), 1);
      console.log(
        `Patroni: ${words}; promoted after ${promoted.toFixed(0)} ms, first receipt ${first.toFixed(0)} ms later, up to date after ${all.toFixed(0)} ms`,
      );
    },
  );
});

if (!hasStandby || !hasPatroni)
  console.warn(
    `***** NOT TESTED: failover${hasStandby ? ' by Patroni (patroni, etcd-server)' : ' (postgresql 15, as root)'}`,
  );
