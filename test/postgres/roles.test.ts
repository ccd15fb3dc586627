// The roles of docs/sql.md, as the page prints their grants, on a database where nobody but a superuser may create a schema. Each is held to what
// it may, and refused the rest. Postgres, release, the processes and pg-boss are real.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate, standardSources } from '../../src/db/migrate.ts';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { hiddenProblem, readStanding } from '../../src/db/standing.ts';
import { listMessages } from '../../src/operate/read.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { openQueue } from '../../src/queue/boss.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testFleet, type TestFleet } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

const suffix = randomBytes(4).toString('hex');
const page = readFileSync(new URL('../../docs/sql.md', import.meta.url), 'utf8');
const roles = page.slice(page.indexOf('\n## Roles\n'));
const [byHand = '', byOwner = ''] = [...roles.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, sql = '']) =>
  sql.replaceAll(/\bshop_(owner|runtime|enqueue|read)\b/g, `shop_$1_${suffix}`),
);

let database: TestDatabase;
let fleet: TestFleet;
const opened: Database[] = [];
const as: Record<'owner' | 'runtime' | 'enqueue' | 'read', Database> = {} as never;

const urlOf = (role: string): string => {
  const url = new URL(database.url);
  [url.username, url.password] = [`shop_${role}_${suffix}`, 'geheim'];
  return url.href;
};

beforeAll(async () => {
  database = await testDatabase({ migrated: false });
  const { db } = database;
  await db.executeSql(byHand);
  for (const role of ['runtime', 'enqueue', 'read'])
    await db.executeSql(`create role shop_${role}_${suffix} login`);
  for (const role of ['owner', 'runtime', 'enqueue', 'read'] as const) {
    await db.executeSql(`alter role shop_${role}_${suffix} password 'geheim'`);
    const setting = { max: 4, applicationName: role, onIdleError: () => undefined };
    opened.push((as[role] = openDatabase({ ...setting, url: urlOf(role) })));
  }
  await migrate(as.owner, standardSources('test/support/fleet-app.ts'));
  const queue = openQueue({ db: as.owner, queueDb: as.owner, backend: 'postgres', onError: () => undefined });
  await queue.install();
  await queue.close();
  await as.owner.executeSql(byOwner);
  fleet = testFleet({
    DATABASE_URL: urlOf('runtime'),
    WAYBILL_APP: 'test/support/fleet-app.ts',
    WAYBILL_EMAIL_PROVIDER: 'inbox',
    PORT: '0',
  });
});

afterAll(async () => {
  await fleet.end();
  for (const one of opened) await one.end();
  const { db } = database;
  for (const role of ['runtime', 'enqueue', 'read', 'owner'])
    await db.executeSql(`drop owned by shop_${role}_${suffix} cascade; drop role shop_${role}_${suffix}`);
  await database.end();
});

const denied = { code: '42501' };

describe('the owner', () => {
  it('has released without a right on the database, and does so again', async () => {
    const { rows } = await as.owner.executeSql(
      `select has_database_privilege(current_database(), 'create') as may`,
    );
    expect(rows).toEqual([{ may: false }]);
    expect((await migrate(as.owner, standardSources('test/support/fleet-app.ts'))).applied).toEqual([]);
  });
});

describe('the runtime role', () => {
  it('runs the whole fleet, and may change no table', async () => {
    const { db } = database;
    await db.executeSql(`create table marks (message_id uuid, attempt int, what text, pid int, at timestamptz default clock_timestamp());
      grant all on marks to shop_runtime_${suffix}`);
    const record = (kind: string, name: string, payload: object): Promise<unknown> =>
      as.enqueue.executeSql('select waybill.enqueue($1, $2, $3)', [kind, name, JSON.stringify(payload)]);
    await record('job', 'work', { ms: 1 });
    await record('event', 'happened', { n: 1 });
    await record('email', 'email', { to: 'ann@shop.test', from: 'bo@shop.test', subject: 'x', text: 'y' });
    const all = await fleet.start('all');
    const states = 'select kind, status from waybill.outbox_messages order by kind, id';
    await until(
      async () => {
        const { rows } = await as.read.executeSql<{ status: string }>(states);
        return rows.length === 5 && rows.every(({ status }) => status === 'delivered');
      },
      { timeoutMs: 60_000, what: 'everything to be delivered' },
    ).catch(async (error: unknown) => {
      throw new Error(JSON.stringify([(await as.read.executeSql(states)).rows, all.lines.slice(-20)]), {
        cause: error,
      });
    });
    const errors = all.lines.filter(({ level }) => level === 'error' || level === 'fatal');
    expect(errors).toEqual([]);
    expect(await all.stop()).toBe(0);
    await expect(
      as.runtime.executeSql('alter table waybill.outbox_messages add column x int'),
    ).rejects.toMatchObject(denied);
    await expect(as.runtime.executeSql('create table waybill.mine (a int)')).rejects.toMatchObject(denied);
    await expect(as.runtime.executeSql('create schema mine')).rejects.toMatchObject(denied);
  });
});

describe('the enqueue role', () => {
  it.each(['job', 'event', 'email'])('records a message of the kind %s', async (kind) => {
    const { rows } = await as.enqueue.executeSql<{ id: string }>(
      `select waybill.enqueue($1, 'anything', '{}', delivery_key => $1) as id`,
      [kind],
    );
    const again = await as.enqueue.executeSql(
      `select waybill.enqueue($1, 'anything', '{}', delivery_key => $1) as id`,
      [kind],
    );
    expect(again.rows).toEqual(rows);
  });

  it.each(['listener', 'action'])(
    'is refused a message of the kind %s, until it is granted',
    async (kind) => {
      const record = (): Promise<unknown> =>
        as.enqueue.executeSql(`select waybill.enqueue($1, 'forged', '{}')`, [kind]);
      await expect(record()).rejects.toMatchObject({ ...denied, detail: 'forbidden' });
      await expect(
        as.enqueue.executeSql(`select waybill.enqueue_any($1, 'forged', '{}')`, [kind]),
      ).rejects.toMatchObject(denied);
      await as.owner.executeSql(`grant execute on function waybill.enqueue_any to shop_enqueue_${suffix}`);
      await record();
      await as.owner.executeSql(`revoke execute on function waybill.enqueue_any from shop_enqueue_${suffix}`);
      await expect(record()).rejects.toMatchObject(denied);
    },
  );

  it.each([
    'select * from waybill.outbox_messages',
    'select payload from waybill.outbox_messages',
    'select * from waybill.outbox_keys',
    'select * from waybill.inbox_emails',
    'select * from waybill.enqueue_limits',
    `update waybill.outbox_messages set status = 'pending'`,
    'delete from waybill.outbox_messages',
    `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, revision) values (gen_random_uuid(), 'action', 'n', 'jobs', '{}', 1, 0)`,
    `insert into waybill.outbox_audit (kind, outcome, recorded) values ('job', 'delivered', 5)`,
    'update waybill.enqueue_limits set max_payload_bytes = 10485760',
    `select waybill.outbox_enqueue('action', 'n', '{}', null, null, null, 0, 1, null, null, null, null, null, null, null, null, 'block', null)`,
    'select * from waybill.email_hash_key',
    `select waybill.outbox_record(gen_random_uuid(), 'action', 'n', 'jobs', '{}', 1, 0, null, 'k', null, null, null)`,
    `select waybill.outbox_replace(null::waybill.outbox_messages, null, null)`,
    'select * from pgboss.job',
  ])('is refused: %s', async (sql) => {
    await expect(as.enqueue.executeSql(sql)).rejects.toMatchObject(denied);
  });

  it('cannot raise the limit of payloads, nor lead the function astray with a search_path', async () => {
    const large = `select waybill.enqueue('job', 'n', to_jsonb(repeat('x', 300000)))`;
    const raised = as.enqueue.transaction(async (tx) => {
      await tx.executeSql(`set local waybill.max_payload_bytes = 10000000`);
      await tx.executeSql(large);
    });
    await expect(raised).rejects.toMatchObject({ code: '22023', detail: 'payload_too_large' });
    const astray = as.enqueue.transaction(async (tx) => {
      await tx.executeSql(`create function pg_temp.now() returns timestamptz language sql as 'select ''infinity''::timestamptz';
        set local search_path = pg_temp, pg_catalog`);
      return tx.executeSql<{ id: string }>(`select waybill.enqueue('job', 'astray', '{}') as id`);
    });
    const { id } = (await astray).rows[0]!;
    const { rows } = await as.read.executeSql(
      `select available_at < now() + interval '1 minute' as soon from waybill.outbox_messages where id = $1`,
      [id],
    );
    expect(rows).toEqual([{ soon: true }]);
  });

  it('records as itself when a stronger session has taken its role', async () => {
    const taken = database.db.transaction(async (tx) => {
      await tx.executeSql(`set local role shop_enqueue_${suffix}`);
      await tx.executeSql(`select waybill.enqueue('action', 'forged', '{}')`);
    });
    await expect(taken).rejects.toMatchObject(denied);
  });
});

describe('the key of the hashes of recipients', () => {
  it('is read by the owner alone, and the others find emails by their recipients', async () => {
    for (const role of ['runtime', 'read', 'enqueue'] as const)
      await expect(as[role].executeSql('select * from waybill.email_hash_key')).rejects.toMatchObject(denied);
    const email = `waybill.enqueue('email', 'email', '{"to": "Ann@hashed.example", "subject": "s"}')`;
    const { rows } = await as.enqueue.executeSql<{ id: string }>(`select ${email} as id`);
    for (const role of ['runtime', 'read'] as const) {
      const { messages } = await listMessages(as[role], { to: ['ann@hashed.example'] });
      expect(messages.map(({ id }) => id)).toEqual([rows[0]!.id]);
    }
  });
});

describe('the read role', () => {
  it('reads, and is refused every change', async () => {
    expect((await verifyOutbox(as.read)).kinds.length).toBeGreaterThan(0);
    for (const sql of [
      `update waybill.outbox_messages set status = 'pending'`,
      'delete from waybill.outbox_messages',
      `select waybill.enqueue('job', 'n', '{}')`,
      `select waybill.enqueue_any('job', 'n', '{}')`,
      'truncate waybill.outbox_audit',
      `update waybill.queues set paused_at = now()`,
    ])
      await expect(as.read.executeSql(sql)).rejects.toMatchObject(denied);
  });
});

describe('row-level security', () => {
  const table = 'waybill.outbox_messages';
  afterAll(() => as.owner.executeSql(`alter table ${table} disable row level security`));
  const problem = async (db: Database): Promise<string | undefined> => hiddenProblem(await readStanding(db));

  it('that hides rows is named for the role that it concerns, by verify too', async () => {
    expect(await problem(as.runtime)).toBeUndefined();
    await as.owner.executeSql(`alter table ${table} enable row level security`);
    expect(await problem(as.runtime)).toMatch(
      /hides rows of waybill\.outbox_messages from the role shop_runtime/,
    );
    expect(await problem(as.owner)).toBeUndefined();
    const { ok, findings } = await verifyOutbox(as.runtime);
    expect([ok, findings.map(({ code }) => code)]).toEqual([false, expect.arrayContaining(['rows_hidden'])]);
    await as.owner.executeSql(
      `create policy everything on ${table} for all to shop_runtime_${suffix} using (true) with check (true)`,
    );
    expect(await problem(as.runtime)).toBeUndefined();
    await as.owner.executeSql(
      `create policy less on ${table} as restrictive for select to public using (kind <> 'email')`,
    );
    expect(await problem(as.runtime)).toMatch(/hides rows/);
    await as.owner.executeSql(`drop policy less on ${table}; drop policy everything on ${table}`);
    await as.owner.executeSql(`alter table ${table} force row level security`);
    expect(await problem(as.owner)).toMatch(/from the role shop_owner/);
    await as.owner.executeSql(`alter table ${table} no force row level security`);
  });
});
