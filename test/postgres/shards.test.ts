// One web server before two real databases, in this process: which database a request is of, and a person at the console. The databases are on one
// server. `waybill doctor` is the real command.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isSameDatabase } from '../../src/db/same.ts';
import { openDatabase } from '../../src/db/pool.ts';
import { readConfig } from '../../src/config/config.ts';
import { fleetActs } from '../../src/console/fleet-act.ts';
import type { Session } from '../../src/console/session.ts';
import { beat, fleet } from '../../src/process/heartbeat.ts';
import { listSuppressions } from '../../src/email/suppression.ts';
import { createReadiness } from '../../src/process/health.ts';
import { createHosts, type Host } from '../../src/process/host.ts';
import { endPools } from '../../src/process/serve.ts';
import { startEach } from '../../src/process/start.ts';
import { ActionError, defineAction, defineApp } from '../../src/index.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { waybill } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testFront, type TestFront } from '../support/web.ts';

const where = defineAction({
  name: 'where',
  access: 'public',
  http: 'GET /where',
  args: z.object({ database: z.string().optional() }),
  async handler(ctx, { database }) {
    const { rows } = await ctx.db.query<{ name: string }>('select current_database() as name');
    return { is: rows[0]!.name, argument: database ?? null };
  },
});

let eu: TestDatabase;
let us: TestDatabase;
let front: TestFront;
let byTenant: TestFront;
beforeAll(async () => {
  [eu, us] = await Promise.all([testDatabase(), testDatabase()]);
  front = await testFront(defineApp({ actions: [where] }), { eu: eu.url, us: us.url });
  const tenants: Record<string, string> = { ann: 'eu', bob: 'us', eve: 'asia' };
  byTenant = await testFront(
    defineApp({
      actions: [where],
      databaseOf({ headers }) {
        if (headers['x-tenant'] === 'nobody') throw new ActionError(401, 'no_tenant', 'sign in first');
        return tenants[String(headers['x-tenant'])] ?? null;
      },
    }),
    { eu: eu.url, us: us.url },
  );
});
afterAll(async () => {
  await Promise.all([front.end(), byTenant.end()]);
  await Promise.all([eu.end(), us.end()]);
});

const nameOf = (database: TestDatabase): string => new URL(database.url).pathname.slice(1);

async function ask(base: string, path: string, headers: Record<string, string> = {}) {
  const answer = await fetch(base + path, { headers, redirect: 'manual' });
  const text = await answer.text();
  const isJson = answer.headers.get('content-type')?.includes('json') === true;
  const body = (isJson ? JSON.parse(text) : { text }) as Record<string, unknown>;
  return {
    status: answer.status,
    to: answer.headers.get('location'),
    headers: answer.headers,
    text,
    ...body,
  };
}

describe('an action', () => {
  it('runs in the database that the header names, and its own arguments stay its own', async () => {
    for (const [name, database] of [
      ['eu', eu],
      ['us', us],
    ] as const)
      expect(await ask(front.base, '/where?database=mine', { 'waybill-database': name })).toMatchObject({
        status: 200,
        result: { is: nameOf(database), argument: 'mine' },
      });
  });

  it('is refused without a database, and with one that there is not', async () => {
    expect(await ask(front.base, '/where')).toMatchObject({
      status: 400,
      code: 'database_required',
      detail: 'there are several databases, eu, us: give one in the header Waybill-Database',
    });
    expect(await ask(front.base, '/where', { 'waybill-database': 'su' })).toMatchObject({
      status: 404,
      code: 'unknown_database',
    });
  });

  it("runs in the database that the application's databaseOf names, whatever the header says", async () => {
    const as = (tenant: string) =>
      ask(byTenant.base, '/where', { 'x-tenant': tenant, 'waybill-database': 'eu' });
    expect(await as('ann')).toMatchObject({ result: { is: nameOf(eu) } });
    expect(await as('bob')).toMatchObject({ result: { is: nameOf(us) } });
    expect(await as('eve')).toMatchObject({ status: 404, code: 'unknown_database' });
    expect(await as('carl')).toMatchObject({ status: 400, code: 'database_required' });
    expect(await as('eve')).toMatchObject({
      detail: "the application's databaseOf named a database that is not of this fleet",
    });
    expect(await as('carl')).toMatchObject({
      detail: "there are several databases: the application's databaseOf found none for this request",
    });
    expect(await as('nobody')).toMatchObject({ status: 401, code: 'no_tenant' });
  });
});

describe('a web process that WAYBILL_DATABASE narrows to one', () => {
  const narrow = { WAYBILL_DATABASE: 'eu', WAYBILL_CRON_SECRET: 'secret-of-the-tests' };
  const key = { authorization: `Bearer ${adminKey}` };
  const refused = {
    status: 421,
    code: 'database_not_served',
    detail: 'this process does not serve the database us: it serves eu alone',
  };

  it('refuses what names another, and needs no name for its own', async () => {
    const front = await testFront(
      defineApp({ actions: [where] }),
      { eu: eu.url, us: us.url },
      ['eu'],
      narrow,
    );
    try {
      expect(await ask(front.base, '/where', { 'waybill-database': 'us' })).toMatchObject(refused);
      expect(await ask(front.base, '/where', { 'waybill-database': 'su' })).toMatchObject({ status: 404 });
      for (const path of ['/admin/queues', '/cron/outbox/drain', '/webhooks/resend', '/console'])
        expect(await ask(front.base, `${path}?database=us`, key)).toMatchObject(refused);
      for (const name of [undefined, 'eu'])
        expect(
          await ask(front.base, '/where?database=mine', name ? { 'waybill-database': name } : {}),
        ).toMatchObject({
          result: { is: nameOf(eu), argument: 'mine' },
        });
      for (const path of ['/admin/queues', '/admin/queues?database=eu'])
        expect(await ask(front.base, path, key)).toMatchObject({ status: 200 });
      expect(await ask(front.base, '/console')).toMatchObject({ status: 401 });
    } finally {
      await front.end();
    }
  });

  it("refuses another one of the application's databaseOf, and none", async () => {
    const app = defineApp({ actions: [where], databaseOf: ({ headers }) => (headers['x-us'] ? 'us' : null) });
    const front = await testFront(app, { eu: eu.url, us: us.url }, ['eu'], narrow);
    try {
      expect(await ask(front.base, '/where', { 'x-us': '1' })).toMatchObject({
        status: 421,
        detail: 'this process does not serve the database of this request',
      });
      expect(await ask(front.base, '/where')).toMatchObject({ code: 'database_required' });
    } finally {
      await front.end();
    }
  });
});

describe('a database that has not answered since the start', () => {
  it('is a page for a person at the console, and a problem for a program', async () => {
    const half = await testFront(defineApp({ actions: [where] }), { eu: eu.url, us: us.url }, ['eu']);
    try {
      const html = { accept: 'text/html,application/xhtml+xml' };
      for (const path of ['/console/queues?q="><b>&database=us', '/inbox?database=us']) {
        const { status, headers, text } = await ask(half.base, path, html);
        expect([status, headers.get('content-type')]).toEqual([503, 'text/html; charset=utf-8']);
        expect(headers.get('content-security-policy')).toContain("default-src 'none'");
        expect(text).toContain('the database us does not answer; try again in a moment');
        expect(text).not.toContain('"><b>');
      }
      expect(await ask(half.base, '/console?database=us')).toMatchObject({
        status: 503,
        code: 'database_unavailable',
      });
      expect(await ask(half.base, '/admin/queues?database=us', html)).toMatchObject({
        code: 'database_unavailable',
      });
    } finally {
      await half.end();
    }
  });
});

describe('the console while a database is away', () => {
  const nobody = 'postgres://u:p@127.0.0.1:1/none';
  const html = { accept: 'text/html' };
  const toUs = '<a href="/console?database=us">us</a>';

  it('opens with the first one that answers, and its page of the other leads there', async () => {
    const front = await testFront(defineApp({ actions: [where] }), { eu: nobody, us: us.url });
    try {
      expect(await ask(front.base, '/console', html)).toMatchObject({ to: '/console?database=us' });
      const body = new URLSearchParams({ name: 'ann', key: adminKey, next: '/console' });
      const sign = { method: 'POST', redirect: 'manual', body } as const;
      const answer = await fetch(`${front.base}/console/sign-in?database=us`, sign);
      const cookie = answer.headers.get('set-cookie')!.split(';')[0]!;
      const { status, text } = await ask(front.base, '/console/queues?database=eu', { ...html, cookie });
      expect(status).toBe(503);
      expect(text).toContain(toUs);
    } finally {
      await front.end();
    }
  });

  it('does so before it has answered since the start', async () => {
    const front = await testFront(defineApp({}), { eu: nobody, us: us.url }, ['us']);
    try {
      expect(await ask(front.base, '/console', html)).toMatchObject({ to: '/console?database=us' });
      expect((await ask(front.base, '/console?database=eu', html)).text).toContain(toUs);
    } finally {
      await front.end();
    }
  });
});

describe('waybill doctor --json', () => {
  it('has the findings of each database under its name, and those of the fleet beside them', async () => {
    const env = { WAYBILL_DATABASES: `eu=${eu.url},us=${us.url}`, WAYBILL_APP: 'test/support/fleet-app.ts' };
    const { stdout } = await waybill(['doctor', '--json'], env);
    const { findings, databases } = JSON.parse(stdout) as {
      findings: { message: string }[];
      databases: { database: string; findings: { message: string }[] }[];
    };
    expect(databases.map(({ database }) => database)).toEqual(['eu', 'us']);
    const named = [...findings, ...databases.flatMap((one) => one.findings)];
    expect(named.filter(({ message }) => /^(?:eu|us): /.test(message))).toEqual([]);
  });
});

describe("Waybill's own routes", () => {
  const key = { authorization: `Bearer ${adminKey}` };

  it('take the database from their address', async () => {
    await createPostgresOutbox(us.db).enqueue({ kind: 'job', name: 'n', queue: 'jobs', payload: {} });
    expect(await ask(front.base, '/admin/outbox/stats?database=us', key)).toMatchObject({
      byStatus: { pending: 1 },
    });
    expect(await ask(front.base, '/admin/outbox/stats?database=eu', key)).toMatchObject({
      byStatus: { pending: 0 },
    });
    expect(await ask(front.base, '/cron/outbox/drain?batchSize=1&database=us')).toMatchObject({
      code: 'drain_closed',
    });
    expect(await ask(front.base, '/cron/outbox/drain')).toMatchObject({ code: 'database_required' });
  });

  it('say so in the document of the admin API', async () => {
    const { paths } = (await ask(front.base, '/admin/openapi.json?database=us', key)) as unknown as {
      paths: Record<string, Record<string, { parameters: object[] }>>;
    };
    for (const operation of Object.values(paths).flatMap((path) => Object.values(path)))
      expect(operation.parameters).toContainEqual({
        name: 'database',
        in: 'query',
        required: true,
        schema: { enum: ['eu', 'us'] },
      });
  });

  it('of the process need none, and speak of all', async () => {
    const { checks } = (await ask(front.base, '/readyz')) as unknown as { checks: { name: string }[] };
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['running', 'database eu', 'schema eu', 'database us', 'schema us', 'fleet']),
    );
    const documentOf = async ({ base }: TestFront) =>
      (await ask(base, '/openapi.json')) as unknown as {
        paths: { '/where': { get: { parameters: object[] } } };
      };
    const parametersOf = async (of: TestFront) => (await documentOf(of)).paths['/where'].get.parameters;
    const header = { name: 'Waybill-Database', in: 'header', required: true, schema: { enum: ['eu', 'us'] } };
    expect(await parametersOf(front)).toContainEqual(header);
    expect(await parametersOf(byTenant)).toMatchObject([{ name: 'database', in: 'query' }]);
    const { text } = await ask(front.base, '/metrics');
    expect(text).toContain('waybill_outbox_messages{database="us",kind="job",status="pending"} 1');
    expect(text).toContain('waybill_outbox_messages{database="eu",kind="job",status="pending"} 0');
  });
});

describe('the console', () => {
  async function signIn(): Promise<Record<string, string>> {
    const answer = await fetch(`${front.base}/console/sign-in?database=us`, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ name: 'ann', key: adminKey, next: '/console/messages?status=pending' }),
    });
    expect(answer.headers.get('location')).toBe('/console/messages?status=pending&database=us');
    return { cookie: answer.headers.get('set-cookie')!.split(';')[0]! };
  }

  it('opens with the first database, and every address in its pages keeps the chosen one', async () => {
    expect(await ask(front.base, '/console')).toMatchObject({ status: 303, to: '/console?database=eu' });
    expect(await ask(front.base, '/console/queues?database=us')).toMatchObject({ status: 401 });
    const cookie = await signIn();
    const { text, status } = await ask(front.base, '/console/messages?status=pending&database=us', cookie);
    expect(status).toBe(200);
    const addresses = [...text.matchAll(/(?:href|action)="(\/(?:console|inbox)[^"]*)"/g)].map(
      ([, to]) => to!,
    );
    const pages = addresses.filter((to) => !to.startsWith('/console/assets/'));
    const switches = ['/console/messages?database=eu'];
    expect(pages.filter((to) => !to.endsWith('database=us'))).toEqual(switches);
    expect(text).toContain('waybill outbox list --status pending --database us');
    expect(text).toContain('/admin/outbox?status=pending&amp;database=us');
    expect(text).toContain('<title>Messages: waiting · us · Waybill</title>');
  });

  it('has one session for all, which a sign-out ends in all', async () => {
    const cookie = await signIn();
    const { text, status } = await ask(front.base, '/console?database=eu', cookie);
    expect(status).toBe(200);
    const token = /name="_token" value="([^"]+)"/.exec(text)![1]!;
    const out = await fetch(`${front.base}/console/sign-out?database=eu`, {
      method: 'POST',
      redirect: 'manual',
      headers: cookie,
      body: new URLSearchParams({ _token: token }),
    });
    expect(out.headers.get('location')).toBe('/console/sign-in?database=eu');
    expect((await ask(front.base, '/console?database=us', cookie)).status).toBe(401);
  });
});

describe('the report of an email provider', () => {
  const env = { POSTMARK_WEBHOOK_CREDENTIALS: 'hook:geheim-geheim' };
  const report = (base: string, recipient: string, query = ''): Promise<Response> =>
    fetch(`${base}/webhooks/postmark${query}`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(env.POSTMARK_WEBHOOK_CREDENTIALS)}` },
      body: JSON.stringify({ RecordType: 'SpamComplaint', MessageID: recipient, ID: 7, Email: recipient }),
    });
  const suppressed = async ({ db }: TestDatabase): Promise<string[]> =>
    (await listSuppressions(db, {})).suppressions.map(({ address }) => address).toSorted();

  it('suppresses its recipient in every database, whichever its address names', async () => {
    const every = await testFront(defineApp({}), { eu: eu.url, us: us.url }, ['eu', 'us'], env);
    try {
      expect((await report(every.base, 'ann@example.test')).status).toBe(200);
      expect((await report(every.base, 'bob@example.test', '?database=eu')).status).toBe(200);
      const both = ['ann@example.test', 'bob@example.test'];
      expect([await suppressed(eu), await suppressed(us)]).toEqual([both, both]);
    } finally {
      await every.end();
    }
  });

  it('is answered with 503 while one of them does not record it, so that the provider sends it again', async () => {
    const away = 'postgres://u:p@127.0.0.1:1/none';
    const half = await testFront(defineApp({}), { eu: eu.url, us: away }, ['eu'], env);
    try {
      expect((await report(half.base, 'carl@example.test')).status).toBe(503);
      expect(await suppressed(eu)).toContain('carl@example.test');
    } finally {
      await half.end();
    }
  });
});

describe('a process that a person quiets', () => {
  it('is quiet for one database, and the answer says for which', async () => {
    const row = { id: 'w1', role: 'jobs', host: 'h', pid: 1, version: '1' };
    const counted = { slots: 5, busy: () => 0, prefetched: () => 0, settling: () => 0 };
    for (const { db } of [eu, us])
      await beat(db, row, { workers: [{ queues: ['jobs'], ...counted }], isolating: () => 0 });
    const { config, db } = front.hosts[1]!;
    const actor = { by: 'ann', key: null, via: 'console', requestId: null, reason: null } as const;
    const given = { db, config, actor, session: {} as Session, params: { id: 'w1' }, form: {} };
    const said = 'The process w1 claims nothing more from the database us.';
    expect(await fleetActs[0]!.run(given)).toMatchObject({ said });
    const quiet = async (of: TestDatabase) => (await fleet(of.db, 'w1'))[0]!.quiet?.by;
    expect([await quiet(eu), await quiet(us)]).toEqual([undefined, 'ann']);
  });
});

describe('the start of a process', () => {
  it('leaves a database out whose statements fail, and takes it in when they do not', async () => {
    const config = readConfig({ WAYBILL_DATABASES: `eu=${eu.url},us=${us.url}`, LOG_LEVEL: 'silent' });
    const hosts = createHosts('jobs', config, new AbortController().signal);
    const done: (string | null)[] = [];
    let column = 'of_the_next_version';
    const composed = startEach(hosts, async ({ config: { database }, db }) => {
      if (database === 'us') await db.executeSql(`select ${column} from waybill.queues`);
      done.push(database);
      return { services: [], life: {}, runsHandlers: false };
    });
    await composed[0];
    expect(done).toEqual(['eu']);
    column = 'name';
    await composed[1];
    expect(done).toEqual(['eu', 'us']);
    await Promise.all(hosts.map(endPools));
  });

  it('ends at once for an error that is not of a database', async () => {
    const config = readConfig({ WAYBILL_DATABASES: `eu=${eu.url},us=${us.url}`, LOG_LEVEL: 'silent' });
    const hosts = createHosts('jobs', config, new AbortController().signal);
    const composed = startEach(hosts, async () => {
      throw new Error('of the application');
    });
    const end = { status: 'rejected', reason: new Error('of the application') };
    expect(await Promise.allSettled(composed)).toEqual([end, end]);
    await Promise.all(hosts.map(endPools));
  });
});

describe('readiness', () => {
  it('stays while the process works for one, although its loops for another stand still', async () => {
    const config = readConfig({ WAYBILL_DATABASES: `eu=${eu.url},us=${us.url}`, LOG_LEVEL: 'silent' });
    const hosts = createHosts('jobs', config, new AbortController().signal);
    const stalls = (host: Host): Host => {
      const state = { ago: null, isStalled: true, stepMs: 0, everyMs: 2_000, overdueMs: 60_000 };
      return { ...host, progress: { ...host.progress, loops: () => [{ name: 'worker jobs', ...state }] } };
    };
    for (const { work } of hosts) work.begun = true;
    try {
      const [inEu, inUs] = hosts as readonly [Host, Host];
      const one = await createReadiness([inEu, stalls(inUs)])();
      expect(one.ready).toBe(true);
      expect(one.checks.find(({ name }) => name === 'loops us')?.ok).toBe(false);
      expect((await createReadiness([stalls(inEu), stalls(inUs)])()).ready).toBe(false);
    } finally {
      await Promise.all(hosts.map(endPools));
    }
  });
});

describe('two names for one database', () => {
  it('are found, whatever the URLs look like', async () => {
    const onIdleError = (): void => undefined;
    const other = openDatabase({
      url: `${eu.url}?application_name=x`,
      max: 1,
      applicationName: 'test',
      onIdleError,
    });
    try {
      expect(await isSameDatabase(eu.db, other)).toBe(true);
      expect(await isSameDatabase(eu.db, us.db)).toBe(false);
    } finally {
      await other.end();
    }
  });
});
