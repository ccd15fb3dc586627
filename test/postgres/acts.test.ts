// The audit of acts, and who may act. Real: Postgres and the web server. Doubled: nothing.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listActs, parseAuditFilter, pruneActs, recordAct, type Actor } from '../../src/operate/audit.ts';
import { cancel } from '../../src/acts/messages.ts';
import { pause } from '../../src/acts/queues.ts';
import { defineApp } from '../../src/index.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let web: TestWeb;
const people = { ann: 'key-of-ann', oscar: 'key-of-oscar', rita: 'key-of-rita' };
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(defineApp({}), database.url, {
    WAYBILL_ADMIN_KEY: 'one,other',
    WAYBILL_ADMIN_KEYS: 'ann:admin:key-of-ann,oscar:operate:key-of-oscar,rita:read:key-of-rita',
  });
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const record = async (queue = 'jobs'): Promise<string> =>
  (
    await createPostgresOutbox(database.db).enqueue({
      kind: 'job',
      name: 'n',
      queue,
      payload: { secret: 'tea' },
    })
  ).id;

async function call(
  key: string,
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  payload?: object,
  headers = {},
) {
  const authorization = `Bearer ${key}`;
  const response = await web.server.inject({
    method,
    url,
    ...(payload && { payload }),
    headers: { authorization, ...headers },
  });
  return { status: response.statusCode, body: response.json<Record<string, unknown>>() };
}

const actor: Actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: 'a test' };

describe('the audit', () => {
  it('has who acted, on what, when, why and by which request', async () => {
    const id = await record();
    const headers = { 'x-request-id': 'request-7', 'x-waybill-operator': 'Ann Example' };
    expect(
      (await call(people.oscar, 'POST', `/admin/outbox/${id}/cancel`, { reason: 'sent twice' }, headers))
        .status,
    ).toBe(200);
    const { body } = await call(people.rita, 'GET', `/admin/audit?target=${id}`);
    expect(body).toMatchObject({
      acts: [
        {
          by: 'Ann Example',
          key: 'oscar',
          via: 'http',
          act: 'message.cancel',
          reason: 'sent twice',
          requestId: 'request-7',
        },
      ],
      nextCursor: null,
    });
  });

  it('has nothing of an act that failed', async () => {
    const id = await record();
    await cancel(database.db, actor, id);
    await expect(cancel(database.db, actor, id)).rejects.toMatchObject({ code: 'state_conflict' });
    await expect(pause(database.db, actor, 'jbos', {})).rejects.toMatchObject({ code: 'unknown_queue' });
    expect((await listActs(database.db, parseAuditFilter({ target: id }))).acts).toHaveLength(1);
    expect((await listActs(database.db, parseAuditFilter({ target: 'jbos' }))).acts).toEqual([]);
  });

  it('has each act of HTTP', async () => {
    const since = new Date().toISOString();
    await record('acts');
    const paths = [
      ['/admin/queues/acts/pause', { reason: 'r' }],
      ['/admin/queues/acts/resume', {}],
      ['/admin/queues/acts/limit', { rate: '5/s' }],
      ['/admin/queues/acts/limit', { reset: true }],
      ['/admin/queues/acts/pause', { group: 'g' }],
      ['/admin/queues/acts/resume', { group: 'g' }],
      ['/admin/queues/acts/cancel', { group: 'g' }],
      ['/admin/outbox/retry', { status: 'dead', name: 'nobody' }],
      ['/admin/suppressions', { address: 'someone@example.test' }],
    ] as const;
    for (const [path, body] of paths) expect((await call(people.oscar, 'POST', path, body)).status).toBe(200);
    expect((await call(people.oscar, 'DELETE', '/admin/suppressions/someone@example.test')).status).toBe(200);
    const { acts } = await listActs(database.db, parseAuditFilter({ since, by: 'oscar' }));
    expect(acts.map(({ act }) => act).toReversed()).toEqual([
      'queue.pause',
      'queue.resume',
      'queue.limit',
      'queue.reset',
      'group.pause',
      'group.resume',
      'group.cancel',
      'messages.retry',
      'suppression.add',
      'suppression.remove',
    ]);
    expect(JSON.stringify(acts)).not.toContain('someone@example.test');
  });

  it('is read page by page, and by act', async () => {
    for (let i = 0; i < 5; i++)
      await recordAct(database.db, actor, { act: 'process.quiet', target: `page ${i}` });
    const filter = { act: 'process.quiet', limit: '2' };
    const pages: (string | null)[][] = [];
    for (let cursor: string | undefined; ;) {
      const page = await listActs(database.db, parseAuditFilter({ ...filter, cursor }));
      pages.push(page.acts.map(({ target }) => target));
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    expect(pages).toEqual([['page 4', 'page 3'], ['page 2', 'page 1'], ['page 0']]);
    expect(() => parseAuditFilter({ act: 'mesage.retry' })).toThrow(/did you mean message.retry/);
  });

  it('is append-only: nobody updates, deletes or truncates it, but the pruning of old rows', async () => {
    const { db } = database;
    for (const sql of ['update waybill.audit set by = $1', 'delete from waybill.audit where by = $1'])
      await expect(db.executeSql(sql, ['ann'])).rejects.toThrow(/append-only/);
    await expect(db.executeSql('truncate waybill.audit')).rejects.toThrow(/append-only/);
    const count = async () =>
      (await db.executeSql<{ n: number }>('select count(*)::int as n from waybill.audit')).rows[0]!.n;
    const before = await count();
    await pruneActs(db, 3_600_000, 100);
    expect(await count()).toBe(before);
    await pruneActs(db, 0, 2);
    expect(await count()).toBe(before - 2);
    await expect(db.executeSql('delete from waybill.audit')).rejects.toThrow(/append-only/);
  });

  it('has no whole address of a filter, a detail or a reason', async () => {
    const filter = { status: 'dead', to: 'someone@example.test' };
    const reason = 'someone@example.test complained';
    expect((await call(people.oscar, 'POST', '/admin/outbox/retry', { ...filter, reason })).status).toBe(200);
    const { acts } = await listActs(database.db, parseAuditFilter({ act: 'messages.retry', limit: '1' }));
    expect(JSON.stringify(acts)).not.toContain('someone@');
    expect(acts[0]).toMatchObject({
      filter: { to: [expect.stringMatching(/^s\*{3}@/) as string] },
      reason: expect.stringMatching(/^s\*{3}@.* complained$/) as string,
    });
  });

  it('hides secrets in a reason', async () => {
    await recordAct(
      database.db,
      { ...actor, reason: 'their key is sk_live_51Habcdefghijklmnop' },
      { act: 'process.quiet', target: 'hidden' },
    );
    const { acts } = await listActs(database.db, parseAuditFilter({ target: 'hidden' }));
    expect(acts[0]!.reason).not.toContain('51Habcdefghijklmnop');
  });
});

describe('roles', () => {
  it('read sees all but payloads, operate acts, admin also sees payloads', async () => {
    const id = await record();
    for (const [key, status, payload] of [
      [people.rita, 403, null],
      [people.oscar, 200, null],
      [people.ann, 409, { secret: 'tea' }],
      ['one', 409, { secret: 'tea' }],
      ['other', 409, { secret: 'tea' }],
    ] as const) {
      const { body } = await call(key, 'GET', `/admin/outbox/${id}`);
      expect([body['id'], body['payload'], body['payloadHidden'] ?? false]).toEqual([
        id,
        payload,
        payload === null,
      ]);
      expect((await call(key, 'POST', `/admin/outbox/${id}/cancel`)).status).toBe(status);
    }
  });

  it('a key that may not act is told its role and the one that is needed', async () => {
    const { status, body } = await call(people.rita, 'POST', '/admin/queues/jobs/pause');
    expect([status, body['code'], body['detail']]).toEqual([
      403,
      'forbidden',
      'the key rita has the role read: this needs operate',
    ]);
  });
});

describe('wrong keys', () => {
  it('are counted, and slowed down after the fifth; right ones are not', async () => {
    for (let i = 0; i < 8; i++) expect((await call('wrong', 'GET', '/admin/queues')).status).toBe(401);
    const wrong = call('wrong', 'GET', '/admin/queues');
    const right = call('one', 'GET', '/admin/audit');
    expect((await Promise.race([wrong, right])).status).toBe(200);
    expect((await wrong).status).toBe(401);
    expect((await web.host.metrics.adminRefused.get()).values[0]?.value).toBe(9);
  });
});
