// The command line as its users see it: real processes, their exit codes, what stands on stdout and what on stderr.

import { userInfo } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { roleNames } from '../../src/cli/commands/run.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { waybill } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let empty: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
  empty = await testDatabase({ migrated: false });
});
afterAll(async () => {
  await empty.end();
  await database.end();
});

const here = (): Record<string, string> => ({ DATABASE_URL: database.url });
const nobody = 'postgres://u:geheim@127.0.0.1:1/none';

describe('usage: exit code 2, a sentence that helps, nothing on stdout', () => {
  test.each<[string, string[], RegExp]>([
    ['no command', [], /Usage: waybill/],
    ['unknown command', ['otubox'], /unknown command 'otubox'\n\(Did you mean outbox\?\)/],
    ['group without a command', ['outbox'], /Usage: waybill outbox/],
    ['unknown subcommand', ['outbox', 'lst'], /unknown command 'lst'\n\(Did you mean list\?\)/],
    [
      'unknown option',
      ['outbox', 'list', '--sttaus', 'dead'],
      /unknown option '--sttaus'\n\(Did you mean --status\?\)/,
    ],
    [
      'unknown status',
      ['outbox', 'list', '--status', 'ded'],
      /did you mean dead\? There are pending, sending.*\(invalid_status\)/,
    ],
    ['unknown kind', ['outbox', 'list', '--kind', 'mail'], /There are email, event, listener, job, action/],
    ['limit 0', ['outbox', 'list', '--limit', '0'], /whole number from 1 to/],
    ['limit -5', ['outbox', 'list', '--limit', '-5'], /whole number from 1 to/],
    ['limit abc', ['outbox', 'list', '--limit', 'abc'], /whole number from 1 to/],
    ['limit 1e9', ['outbox', 'list', '--limit', '1e9'], /whole number from 1 to/],
    ['limit 1.5', ['outbox', 'list', '--limit', '1.5'], /whole number from 1 to/],
    ['limit without a value', ['outbox', 'list', '--limit'], /argument missing/],
    ['limit given twice', ['outbox', 'list', '--limit', '5', '--limit', '6'], /given twice/],
    ['since in words', ['outbox', 'list', '--since', 'yesterday'], /ISO 8601/],
    ['since without a zone', ['outbox', 'list', '--since', '2026-01-31T08:00:00'], /ISO 8601/],
    ['since on a day that is none', ['outbox', 'list', '--since', '2026-02-30T08:00:00Z'], /ISO 8601/],
    [
      'since after until',
      ['outbox', 'list', '--since', '2026-02-03T08:00:00Z', '--until', '2026-02-02T08:00:00Z'],
      /empty_range/,
    ],
    ['empty filter', ['outbox', 'list', '--name', ''], /empty/],
    ['broken cursor', ['outbox', 'list', '--cursor', '%%%'], /cursor/],
    ['too many arguments', ['outbox', 'stats', 'now'], /too many arguments/],
    ['id that is no UUID', ['outbox', 'show', '42'], /"42" is no message id.*\(invalid_id\)/],
    ['no id', ['outbox', 'show'], /missing required argument/],
    ['retry of nothing', ['outbox', 'retry'], /filter.*\(filter_required\)/],
    ['retry of nothing, confirmed', ['outbox', 'retry', '--yes'], /filter.*\(filter_required\)/],
    ['bulk retry without --yes', ['outbox', 'retry', '--status', 'dead'], /--yes.*\(confirmation_required\)/],
    [
      'retry of an id and a filter',
      ['outbox', 'retry', '0199c0de-0000-7000-8000-000000000000', '--status', 'dead'],
      /either/,
    ],
    ['cancel of nothing', ['outbox', 'cancel'], /filter.*\(filter_required\)/],
    ['role that is none', ['run', 'relya'], /no role "relya", did you mean relay\?/],
    ['no role', ['run'], /missing required argument/],
  ])('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await waybill(args, here());
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

describe('configuration and database', () => {
  test('no DATABASE_URL: 78, and the variable is named', async () => {
    const { code, stderr } = await waybill(['outbox', 'stats']);
    expect(code).toBe(78);
    expect(stderr).toContain('DATABASE_URL');
  });

  test('several wrong values: 78, all in one message', async () => {
    const { code, stderr } = await waybill(['release'], {
      DATABASE_URL: 'localhost:5432',
      WAYBILL_CONCURRENCY: 'ten',
      WAYBILL_LEASE: '1 minute',
    });
    expect(code).toBe(78);
    for (const name of ['DATABASE_URL', 'WAYBILL_CONCURRENCY', 'WAYBILL_LEASE'])
      expect(stderr).toContain(name);
  });

  test.each([['release'], ['migrate'], ['outbox stats'], ['outbox verify'], ['fleet']])(
    '%s with a DATABASE_URL that leads nowhere: 69, one line, no password',
    async (command) => {
      const { code, stdout, stderr } = await waybill(command.split(' '), { DATABASE_URL: nobody });
      expect({ code, stdout }).toEqual({ code: 69, stdout: '' });
      expect(stderr.trim().split('\n')).toHaveLength(1);
      expect(stderr).toMatch(/nobody listens/);
      expect(stderr).not.toContain('geheim');
    },
  );

  test.each([
    ['wrong password', (url: URL) => void (url.password = 'wrong'), /refused user or password/],
    [
      'database that does not exist',
      (url: URL) => void (url.pathname = '/no_such_database'),
      /does not exist/,
    ],
  ])('%s: 69', async (_, spoil, message) => {
    const url = new URL(database.url);
    spoil(url);
    const { code, stderr } = await waybill(['outbox', 'stats'], { DATABASE_URL: url.href });
    expect(code).toBe(69);
    expect(stderr).toMatch(message);
  });

  test('a database without our schema: 1, and what to run', async () => {
    const { code, stderr } = await waybill(['outbox', 'stats'], { DATABASE_URL: empty.url });
    expect(code).toBe(1);
    expect(stderr).toMatch(/waybill release/);
  });
});

describe('migrate and release', () => {
  test('a dry run names what is pending, release applies it and installs the queue, and again finds nothing', async () => {
    const env = { DATABASE_URL: empty.url };
    const pending = await waybill(['migrate', '--dry-run', '--json'], env);
    expect(pending.code).toBe(0);
    expect((JSON.parse(pending.stdout) as { pending: string[] }).pending).toContain(
      'waybill/0001_messages.sql',
    );
    const first = await waybill(['release', '--json'], env);
    expect(first.code).toBe(0);
    expect((JSON.parse(first.stdout) as { applied: string[] }).applied).toContain(
      'waybill/0001_messages.sql',
    );
    const again = await waybill(['release'], env);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing to apply') as string });
    const { rows } = await empty.db.executeSql(`select to_regnamespace('pgboss') is not null as there`);
    expect(rows).toEqual([{ there: true }]);
  });
});

describe('outbox', () => {
  const unknown = '0199c0de-0000-7000-8000-000000000000';

  async function record(name: string): Promise<string> {
    const outbox = createPostgresOutbox(database.db);
    const result = await outbox.enqueue({ kind: 'job', name, queue: 'jobs', payload: { a: 1 } });
    return result.id;
  }
  const json = async (args: string[]): Promise<Record<string, unknown>> => {
    const { code, stdout, stderr } = await waybill([...args, '--json'], here());
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout) as Record<string, unknown>;
  };

  test('list, show, cancel, retry and stats of one message', async () => {
    const id = await record('cli.one');
    expect(await json(['outbox', 'list', '--name', 'cli.one'])).toMatchObject({
      messages: [{ id, status: 'pending' }],
      nextCursor: null,
    });
    expect(await json(['outbox', 'show', id])).toMatchObject({ id, payload: { a: 1 }, attempts: [] });
    expect(await json(['outbox', 'cancel', id])).toMatchObject({ messages: [{ id, status: 'cancelled' }] });
    expect(await json(['outbox', 'retry', id])).toMatchObject({ messages: [{ id, status: 'pending' }] });
    const { stdout } = await waybill(['outbox', 'list', '--name', 'cli.one'], here());
    expect(stdout).toContain(id);
    expect((await waybill(['outbox', 'stats'], here())).stdout).toContain('pending');
  });

  test('what is not there, or not allowed in its state: 1', async () => {
    const missing = await waybill(['outbox', 'show', unknown], here());
    expect(missing).toMatchObject({ code: 1, stdout: '' });
    expect(missing.stderr).toContain(unknown);
    const id = await record('cli.pending');
    const refused = await waybill(['outbox', 'retry', id], here());
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/pending/);
  });

  test('bulk retry: a dry run counts and changes nothing, --yes does it', async () => {
    const ids = [await record('cli.bulk'), await record('cli.bulk')];
    await json(['outbox', 'cancel', ...ids]);
    const filter = ['--status', 'cancelled', '--name', 'cli.bulk'];
    expect(await json(['outbox', 'retry', ...filter, '--dry-run'])).toMatchObject({ matched: 2, retried: 0 });
    expect(await json(['outbox', 'retry', ...filter, '--yes'])).toMatchObject({ matched: 2, retried: 2 });
  });

  test('verify: 0 while the ledger and the rows agree, 3 when a row was taken away', async () => {
    const id = await record('cli.verify');
    expect((await waybill(['outbox', 'verify'], here())).code).toBe(0);
    await database.db.executeSql('delete from waybill.outbox_messages where id = $1', [id]);
    const { code, stdout } = await waybill(['outbox', 'verify'], here());
    expect(code).toBe(3);
    expect(stdout).toMatch(/job/);
    // Leaves the books balanced for whatever comes after.
    await database.db.executeSql(
      `insert into waybill.outbox_audit (kind, outcome, recorded) values ('job', 'delivered', -1)`,
    );
  });
});

test('run knows the roles that there are', async () => {
  const { roles } = await import('../../src/fleet/roles.ts');
  expect([...roleNames].toSorted()).toEqual(Object.keys(roles).toSorted());
});

test('fleet: one line for each process', async () => {
  await database.db.executeSql(
    `insert into waybill.processes (id, role, host, pid, version, queues, slots) values ('h:1:x', 'jobs', 'h', 1, '0', '{jobs}', 25)`,
  );
  const { code, stdout } = await waybill(['fleet', '--json'], here());
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ processes: [{ id: 'h:1:x', role: 'jobs', slots: 25 }] });
  expect((await waybill(['fleet'], here())).stdout).toMatch(/jobs\s+h\s+1/);
});

describe('queues', () => {
  test('are listed, paused and resumed, as a table and as JSON', async () => {
    const paused = await waybill(
      ['queues', 'pause', 'email', '--reason', 'the printer burns', '--json'],
      here(),
    );
    expect(paused).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(paused.stdout)).toMatchObject({
      name: 'email',
      state: 'paused',
      reason: 'the printer burns',
      by: userInfo().username,
    });
    const listed = JSON.parse((await waybill(['queues', 'list', '--json'], here())).stdout) as {
      queues: { name: string; state: string }[];
    };
    expect(listed.queues.find(({ name }) => name === 'email')?.state).toBe('paused');
    expect((await waybill(['queues', 'list'], here())).stdout).toMatch(
      /^email +paused .* the printer burns$/m,
    );
    const { code, stdout } = await waybill(['queues', 'resume', 'email'], here());
    expect([code, /^email +open /m.test(stdout)]).toEqual([0, true]);
  });

  test('are limited and reset, and show their groups; what is no limit is exit code 2', async () => {
    const limited = await waybill(
      ['queues', 'limit', 'jobs', '--rate', '50/s', '--per-group-concurrency', '2', '--reason', 'slow'],
      here(),
    );
    expect(limited.stdout).toMatch(/^jobs +rate 50\/s, per group 2 +– +rate 50\/s, per group 2 .* slow$/m);
    expect((await waybill(['queues', 'list'], here())).stdout).toMatch(/^jobs .* rate 50\/s, per group 2$/m);
    const reset = await waybill(['queues', 'limit', 'jobs', '--reset', '--json'], here());
    expect(JSON.parse(reset.stdout)).toMatchObject({ limits: { effective: {}, operator: {} } });
    for (const wrong of [
      ['--rate', '10/fortnight'],
      ['--concurrency', '0'],
      [],
      ['--reset', '--concurrency', '1'],
    ])
      expect((await waybill(['queues', 'limit', 'jobs', ...wrong], here())).code).toBe(2);
    const unknown = await waybill(['queues', 'limit', 'jbos', '--concurrency', '1'], here());
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('did you mean jobs?')]);
    expect((await waybill(['queues', 'groups', 'jobs'], here())).stdout).toMatch(/^GROUP +WAITING/m);
    const none = await waybill(['queues', 'cancel', 'jobs', '--group', 'tenant-7'], here());
    expect(none.stdout).toBe('0 of 0 messages are cancelled\n');
  });

  test('are paused until a time or for a while; an end that is none is exit code 2', async () => {
    const { code, stdout } = await waybill(['queues', 'pause', 'email', '--for', '2h', '--json'], here());
    const { until } = JSON.parse(stdout) as { until: string };
    expect([code, Math.round((Date.parse(until) - Date.now()) / 3_600_000)]).toEqual([0, 2]);
    const listed = await waybill(['queues', 'list'], here());
    expect(listed.stdout).toMatch(new RegExp(`^email +paused +\\S+ +${until.slice(0, 13)}`, 'm'));
    expect(await waybill(['queues', 'pause', 'email', '--until', 'tomorrow'], here())).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ISO 8601') as string,
    });
    await waybill(['queues', 'resume', 'email'], here());
  });

  test('show the order keys that a dead message blocks, and let one go on', async () => {
    const outbox = createPostgresOutbox(database.db);
    const job = { kind: 'job', name: 'book', queue: 'orders', payload: {}, orderKey: 'account 7' } as const;
    const [dead] = await outbox.enqueue([job, job]);
    const [claimed] = await outbox.claimBatch({
      limit: 1,
      leaseMs: 60_000,
      workerId: 'w',
      queues: ['orders'],
    });
    await outbox.markFailed(dead!.id, claimed!.claimToken, 'no such account', { permanent: true });
    expect((await waybill(['queues', 'blocked', 'orders'], here())).stdout).toMatch(
      new RegExp(`^account 7 +${dead!.id} +book +\\S+ +1 +no such account$`, 'm'),
    );
    const unblock = ['queues', 'unblock', 'orders', 'account 7', '--reason', 'closed by hand'];
    const unblocked = await waybill([...unblock, '--json'], here());
    expect(JSON.parse(unblocked.stdout)).toEqual({
      queue: 'orders',
      orderKey: 'account 7',
      messageIds: [dead!.id],
    });
    expect((await waybill(['outbox', 'show', dead!.id], here())).stdout).toMatch(
      /unblocked by .+: closed by hand/,
    );
    expect(await waybill(unblock, here())).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(order_key_not_blocked)') as string,
    });
    expect((await waybill(['queues', 'blocked', 'orders'], here())).stdout).toBe('no order key is blocked\n');
  });

  test('an unknown one: exit code 1, the nearest is named', async () => {
    const { code, stdout, stderr } = await waybill(['queues', 'pause', 'emial'], here());
    expect([code, stdout, stderr]).toEqual([
      1,
      '',
      'waybill: there is no queue "emial": did you mean email? (unknown_queue)\n',
    ]);
  });
});
