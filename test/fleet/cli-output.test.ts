// What commands write: JSON alone on stdout whatever else talks there, nothing that a terminal would obey, no secret, and every time that
// Postgres can hold. Real processes and a real database; the application of the test talks on stdout.

import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { insertBulk } from '../../src/operate/bulk.ts';
import { groupFailures } from '../../src/operate/failures.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { waybill, type Ended } from '../support/command.ts';
import { cronWorld } from '../support/cron.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import loud from '../support/loud-app.ts';

let database: TestDatabase;
const ids: string[] = [];
let failure: string;
const file = join(tmpdir(), `waybill-test-${process.pid}.env`);

beforeAll(async () => {
  database = await testDatabase();
  const outbox = createPostgresOutbox(database.db);
  const mail = { from: { address: 'shop@a.test' }, to: [{ address: 'ann@b.test' }], subject: 's', text: 't' };
  for (const message of [
    { kind: 'job', name: 'talk', queue: 'jobs', payload: {} },
    { kind: 'email', name: 'email', queue: 'email', payload: mail },
  ] as const)
    ids.push((await outbox.enqueue(message)).id);
  const blocking = await outbox.enqueue({
    kind: 'job',
    name: 'talk',
    queue: 'jobs',
    payload: {},
    orderKey: 'a key',
  });
  const one = { limit: 1, leaseMs: 5_000, workerId: 'w', ids: [blocking.id] };
  const [claimed] = await outbox.claimBatch(one);
  await outbox.markFailed(blocking.id, claimed!.claimToken, 'no', { permanent: true });
  failure = (await groupFailures(database.db, '24h')).groups[0]!.key;
  const running = await outbox.enqueue({ kind: 'job', name: 'talk', queue: 'jobs', payload: {} });
  await outbox.claimBatch({ limit: 1, leaseMs: 600_000, workerId: 'w', ids: [running.id] });
  ids.push(running.id);
  await database.db.executeSql(
    `insert into waybill.processes (id, role, host, pid, version, slots) values ('host:1:a', 'jobs', 'host', 1, '0', 1)`,
  );
  await cronWorld(database.db).deploy(loud, new Date());
  await insertBulk(database.db, bulkAct);
});
/** Of a message that there is not, and without a relay: it stays as it is. */
const bulkAct = {
  id: '0199c0de-0000-7000-8000-000000000000',
  action: 'cancel',
  filter: { name: 'nobody' },
  due: null,
  rate: null,
  limit: null,
  matched: 1,
  atLeast: false,
  by: 'ann',
  via: 'cli',
  reason: null,
} as const;
afterAll(async () => {
  rmSync(file, { force: true });
  await database.end();
});

const run = (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
  waybill(args, {
    DATABASE_URL: database.url,
    WAYBILL_APP: 'test/support/loud-app.ts',
    WAYBILL_EMAIL_FROM: 'shop@a.test',
    ...env,
  });

/** Every command that has `--json`, by its words. */
function withJson(command: Command, words: readonly string[] = []): string[] {
  const here = command.options.some(({ long }) => long === '--json') ? [words.join(' ')] : [];
  return [...here, ...command.commands.flatMap((one) => withJson(one, [...words, one.name()]))];
}

/** What each is given beside `--json`, and with which code it ends. */
const table: Readonly<Record<string, readonly [args: () => readonly string[], code?: number]>> = {
  release: [() => []],
  migrate: [() => ['--dry-run']],
  'outbox list': [() => []],
  'outbox show': [() => [ids[0]!]],
  'outbox stats': [() => []],
  'outbox count': [() => []],
  'outbox groups': [() => ['--by', 'error']],
  'outbox failures': [() => []],
  'outbox mute': [() => [failure]],
  'outbox unmute': [() => [failure]],
  'outbox related': [() => [ids[0]!]],
  'outbox verify': [() => []],
  'outbox retry': [() => [ids[0]!], 1],
  'outbox cancel': [() => ['00000000-0000-7000-8000-000000000000'], 1],
  'outbox end': [() => [ids[2]!, '--then', 'cancel']],
  'outbox reschedule': [() => [ids[0]!, '--in', '0s']],
  'outbox run': [() => [ids[0]!]],
  'outbox copy': [() => [ids[1]!, '--to', 'cat@b.test']],
  'outbox erase': [() => [ids[2]!, '--yes']],
  'outbox find': [() => ['ann@b.test']],
  import: [() => ['ndjson', '/dev/null']],
  export: [() => ['--format', 'ndjson', '--all', '--dry-run']],
  'outbox drain': [() => ['--until-empty']],
  'cron list': [() => []],
  'cron runs': [() => []],
  'cron preview': [() => ['daily']],
  'cron run': [() => ['daily']],
  'cron disable': [() => ['daily', '--for', '1h']],
  'cron enable': [() => ['daily']],
  'cron backfill': [() => ['daily', '--from', '2026-01-01T00:00Z', '--to', '2026-01-02T00:00Z', '--dry-run']],
  'queues list': [() => []],
  'queues limit': [() => ['jobs', '--concurrency', '5']],
  'queues groups': [() => ['jobs']],
  'queues cancel': [() => ['jobs', '--group', 'g']],
  'queues pause': [() => ['jobs']],
  'queues resume': [() => ['jobs']],
  'queues blocked': [() => ['jobs']],
  'queues unblock': [() => ['jobs', 'a key']],
  'webhooks replay': [() => ['customer:c1', '--since', '1h']],
  'email test': [() => ['ann@b.test']],
  'suppressions list': [() => []],
  'audit list': [() => []],
  'bulk start': [() => ['cancel', '--name', 'nobody']],
  'bulk list': [() => []],
  'bulk show': [() => [bulkAct.id]],
  'bulk pause': [() => [bulkAct.id]],
  'bulk resume': [() => [bulkAct.id]],
  'bulk stop': [() => [bulkAct.id]],
  'suppressions add': [() => ['bob@b.test']],
  'suppressions remove': [() => ['bob@b.test']],
  fleet: [() => []],
  'fleet advise': [() => []],
  'fleet quiet': [() => ['host:1:a', '--for', '1h']],
  'fleet resume': [() => ['host:1:a']],
  'outbox running': [() => []],
  storage: [() => []],
  series: [() => ['--name', 'dead']],
  init: [() => ['--dry-run']],
  make: [() => ['job', 'some.thing', '--dry-run']],
  doctor: [() => [], 3],
  check: [() => []],
  'env list': [() => []],
  'env check': [() => []],
  'env set': [() => ['LOG_LEVEL', 'warn', '--file', file]],
  'env unset': [() => ['LOG_LEVEL', '--file', file]],
};

const commands = withJson(await createProgram());

describe('with --json stdout is one JSON document', () => {
  it('every command that has --json is in the table', () => {
    expect(Object.keys(table).toSorted()).toEqual(commands.toSorted());
  });

  it.each(Object.entries(table))('%s', async (words, [args, code = 0]) => {
    const ended = await run([...words.split(' '), ...args(), '--json']);
    expect(() => JSON.parse(ended.stdout), `${ended.stdout}\n${ended.stderr}`).not.toThrow();
    expect(ended.code, ended.stderr).toBe(code);
  });
});

describe('nothing that came from elsewhere is obeyed by a terminal', () => {
  const bad = 'a\u001b]52;c;eA==\u0007\u009b2J\u202e\u2028\nb';

  beforeAll(async () => {
    // An older deploy wrote such rows; now a trigger refuses them.
    const trigger = (how: 'disable' | 'enable'): Promise<unknown> =>
      database.db.executeSql(`alter table waybill.outbox_messages ${how} trigger user`);
    await trigger('disable');
    await database.db.executeSql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, status, max_attempts, last_error, delivery_key, dead_at, revision)
       values ('0199aaaa-0000-7000-8000-000000000001', 'job', $1, $1, $2, 'dead', 1, $1, $1, now(), 0)`,
      [bad, JSON.stringify({ text: bad })],
    );
    await database.db.executeSql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, revision)
       values ('0199aaaa-0000-7000-8000-000000000003', 'job', 'waits', $1, '{}', 1, 0)`,
      [bad],
    );
    await database.db.executeSql(
      `insert into waybill.queues (name, paused_at, paused_by, paused_reason) values ('odd', now(), $1, $1)`,
      [bad],
    );
    await database.db.executeSql(
      `insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error, stack)
       values ('0199aaaa-0000-7000-8000-000000000001', 1, now(), $1, 'dead', $1, $1)`,
      [bad],
    );
    await trigger('enable');
  });

  it.each([
    ['outbox', 'list', '--status', 'dead'],
    ['outbox', 'show', '0199aaaa-0000-7000-8000-000000000001'],
    ['outbox', 'stats'],
    ['queues', 'list'],
    ['queues', 'pause', `x${bad}`],
    ['cron', 'run', `x${bad}`],
  ])('%s %s', async (...args) => {
    for (const format of [[], ['--json']]) {
      const { stdout, stderr } = await run([...args, ...format]);
      const said = stdout + stderr;
      expect(said.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
      expect(said).toMatch(/\\u001b\]52/);
      if (format.length > 0 && stdout !== '')
        expect(JSON.stringify(JSON.parse(stdout))).toContain('\\u001b]52');
    }
  });
});

it('an error of any length and with any secret that SQL wrote is shown bounded and without it', async () => {
  await database.db.executeSql(
    `insert into waybill.outbox_messages (id, kind, name, queue, payload, status, max_attempts, last_error, dead_at)
     values ('0199aaaa-0000-7000-8000-000000000002', 'job', 'talk', 'jobs', '{}', 'dead', 1, $1, now())`,
    [`Bearer abcdefgh ${'x'.repeat(1_000_000)}`],
  );
  const { stdout } = await run(['outbox', 'show', '0199aaaa-0000-7000-8000-000000000002', '--json']);
  expect(stdout.length).toBeLessThan(10_000);
  expect((JSON.parse(stdout) as { lastError: string }).lastError).toMatch(/^Bearer \*\*\* x{100}/);
});

describe('times that JavaScript does not have', () => {
  const times = ['infinity', '-infinity', '294276-12-31', '0044-03-15 BC'];
  const idOf = (n: number): string => `0199bbbb-0000-7000-8000-00000000000${n}`;

  beforeAll(async () => {
    // An older deploy left such rows; now a check refuses them.
    await database.db.executeSql('alter table waybill.cron_runs drop constraint cron_runs_times');
    for (const [n, time] of times.entries()) {
      await database.db.executeSql(
        `insert into waybill.outbox_messages (id, kind, name, queue, payload, status, max_attempts, dead_at)
         values ($1, 'job', 'odd', 'jobs', '{}', 'dead', 1, now())`,
        [idOf(n)],
      );
      await database.db.transaction(async (tx) => {
        await tx.executeSql('alter table waybill.outbox_messages disable trigger user'); // the rules of the tests
        const sql = `update waybill.outbox_messages set created_at = $2, available_at = $2, dead_at = $2 where id = $1`;
        await tx.executeSql(sql, [idOf(n), time]);
        await tx.executeSql('alter table waybill.outbox_messages enable trigger user');
      });
      await database.db.executeSql(
        `insert into waybill.outbox_attempts (message_id, attempt, started_at, finished_at, worker, outcome) values ($1, 1, $2, $2, 'w', 'dead')`,
        [idOf(n), time],
      );
      await database.db.executeSql(
        `insert into waybill.cron_runs (id, name, action, source, scheduled_at, dispatched_at, finished_at, status, manifest)
         values ($1, 'odd', 'tick', 'admin', now(), $2, $2, 'succeeded', 'm')`,
        [idOf(n), time],
      );
      await database.db.executeSql(
        `insert into waybill.email_suppressions (address, reason, since) values ($1, 'odd', $2)`,
        [`odd${n}@b.test`, time],
      );
    }
  });

  it('are shown as text in lists, paged by their cursors, and in show', async () => {
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page = await run([
        'outbox',
        'list',
        '--name',
        'odd',
        '--limit',
        '3',
        '--json',
        ...(cursor ? ['--cursor', cursor] : []),
      ]);
      expect(page.code, page.stderr).toBe(0);
      const found = JSON.parse(page.stdout) as {
        messages: { createdAt: string }[];
        nextCursor: string | null;
      };
      seen.push(...found.messages.map(({ createdAt }) => createdAt));
      cursor = found.nextCursor;
    }
    expect(seen).toEqual([
      expect.stringMatching(/^0044-03-15T.* BC$/),
      expect.stringMatching(/^294276-12-31T/),
      '-infinity',
      'infinity',
    ]);
  });

  it.each([
    ['outbox', 'list', '--name', 'odd'],
    ['outbox', 'show', idOf(0)],
    ['outbox', 'show', idOf(2)],
    ['cron', 'runs', '--name', 'odd'],
    ['suppressions', 'list', '--contains', 'odd'],
    ['outbox', 'stats'],
  ])('%s %s says them to people too', async (...args) => {
    const { code, stdout, stderr } = await run(args);
    expect(code, stderr).toBe(0);
    if (args[1] !== 'stats') expect(stdout).toMatch(/infinity|294276-12-31/);
  });
});

it('a cursor is for the list and the filter that gave it', async () => {
  const first = await run(['outbox', 'list', '--limit', '1', '--json']);
  const { nextCursor } = JSON.parse(first.stdout) as { nextCursor: string };
  for (const args of [
    ['outbox', 'list', '--kind', 'job'],
    ['cron', 'runs'],
    ['suppressions', 'list'],
  ]) {
    const ended = await run([...args, '--cursor', nextCursor]);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('(invalid_cursor)')]);
  }
  expect((await run(['outbox', 'list', '--cursor', nextCursor])).code).toBe(0);
});

it('the address of a project is not repeated when it holds a password', async () => {
  for (const url of ['http://user:SECRETWORD@127.0.0.1:1', 'user:SECRETWORD@host', 'ftp://:SECRETWORD@x']) {
    const { code, stdout, stderr } = await run(['cron', 'run', 'daily', '--project-url', url]);
    expect([code, stdout + stderr]).toEqual([2, expect.not.stringContaining('SECRETWORD') as string]);
    expect(stderr).toMatch(/no user and no password/);
  }
});

it('env list shows no secret of any variable', async () => {
  const env = {
    QUEUE_DATABASE_URL: 'postgres://u@h/x?password=SECRETWORD&sslmode=verify-full',
    WAYBILL_NOTICE_URL: 'https://hooks.test/x?token=SECRETWORD',
    SMTP_URL: 'smtp://u:SECRETWORD@h:587',
    WAYBILL_ADMIN_KEY: 'SECRETWORD',
  };
  for (const format of [[], ['--json']]) {
    const { code, stdout } = await run(['env', 'list', ...format], env);
    expect(code).toBe(0);
    expect(stdout).not.toContain('SECRETWORD');
    expect(stdout).toContain('sslmode=verify-full');
  }
});
