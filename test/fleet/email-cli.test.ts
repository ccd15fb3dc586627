// The way of an email from the command line: `email test`, `doctor` and `suppressions`, as their users see them.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { whoDelivers } from '../../src/fleet/trial.ts';
import { beat } from '../../src/process/heartbeat.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { waybill } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testFleet } from '../support/fleet.ts';
import { startSmtp, type SmtpServer } from '../support/smtp.ts';

let database: TestDatabase;
const open: SmtpServer[] = [];

beforeAll(async () => {
  database = await testDatabase();
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
afterAll(() => database.end());

async function server(options: Parameters<typeof startSmtp>[0] = {}): Promise<SmtpServer> {
  const smtp = await startSmtp(options);
  open.push(smtp);
  return smtp;
}

const env = (smtp: SmtpServer, more: Record<string, string> = {}): Record<string, string> => ({
  DATABASE_URL: database.url,
  WAYBILL_APP: 'test/support/fleet-app.ts',
  WAYBILL_EMAIL_PROVIDER: 'smtp',
  WAYBILL_EMAIL_FROM: 'shop@shop.test',
  SMTP_URL: smtp.url,
  LOG_LEVEL: 'silent',
  ...more,
});

describe('email test', () => {
  test('without a fleet this process delivers it, and prints the answer', async () => {
    const smtp = await server();
    const { code, stdout, stderr } = await waybill(['email', 'test', 'ann@b.test'], env(smtp));
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'sending to ann@b.test …\n' });
    expect(stdout).toMatch(
      /^accepted after [\d.]+ s: 250 .*\nmessage [0-9a-f-]{36}, delivered by this process/,
    );
    expect(smtp.mails.map(({ envelope }) => envelope)).toEqual([
      { from: 'shop@shop.test', to: ['ann@b.test'] },
    ]);
  });

  test.each([
    ['relay+email', 'fleet'],
    ['all', 'fleet'],
    ['email+jobs', 'this process'],
  ])('with a live process that is %s, %s delivers', async (role, by) => {
    const row = { id: 'p', role, host: 'h', pid: 1, version: '0' };
    const worker = { queues: ['email'], slots: 1, busy: () => 0, prefetched: () => 0, settling: () => 0 };
    await beat(database.db, row, { workers: [worker as never], isolating: () => 0 });
    expect(await whoDelivers(database.db)).toBe(by);
    await database.db.executeSql("delete from waybill.processes where id = 'p'");
  });

  test('it says by which name the server is greeted, and greets it so', async () => {
    const smtp = await server();
    const named = env(smtp, { WAYBILL_SMTP_NAME: 'mail.shop.test' });
    const { stdout } = await waybill(['email', 'test', 'ann@b.test'], named);
    expect(stdout).toMatch(
      /\nmail: smtp over 127\.0\.0\.1:\d+, .*greeted as mail\.shop\.test, 5 connections\n$/,
    );
    expect(smtp.mails[0]!.headerLines[0]).toMatch(/^Received: from mail\.shop\.test|^From: /);
  });

  test.each<[string, string, RegExp]>([
    [
      'parked',
      `parked_at = now(), parked_reason = 'smtp: the server does not accept our login', probe_at = now() + interval '1 hour'`,
      /parked since .* because smtp: the server does not accept our login.*waybill doctor/,
    ],
    [
      'paused',
      `paused_at = now(), paused_reason = 'the printer burns'`,
      /paused since .* because the printer burns.*queues resume email/,
    ],
  ])('a queue that is %s: told at once, and nothing is recorded', async (_, change, message) => {
    const smtp = await server();
    await database.db.executeSql(`update waybill.queues set ${change} where name = 'email'`);
    try {
      const count = async () =>
        (await database.db.executeSql('select id from waybill.outbox_messages')).rows.length;
      const before = await count();
      const { code, stdout, stderr } = await waybill(
        ['email', 'test', 'ann@b.test', '--timeout', '1h'],
        env(smtp),
      );
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(message);
      expect(await count()).toBe(before);
      const doctor = await waybill(['doctor'], env(smtp));
      expect(doctor.stdout).toMatch(new RegExp(message.source.split('.*')[0]!));
      const list = await waybill(['outbox', 'list', '--status', 'dead'], env(smtp));
      expect(list.stderr).toMatch(
        /note: the queue email is (?:parked|paused) since .* because .*: its messages wait/,
      );
    } finally {
      await database.db.executeSql('delete from waybill.queues');
      await database.db.executeSql(
        `insert into waybill.queues (name) values ('email'), ('events'), ('jobs')`,
      );
    }
  });

  test('it leaves other messages alone', async () => {
    const outbox = createPostgresOutbox(database.db);
    const { id } = await outbox.enqueue({
      kind: 'email',
      name: 'email',
      queue: 'email',
      payload: { to: 'x' },
    });
    const smtp = await server();
    expect((await waybill(['email', 'test', 'ann@b.test'], env(smtp))).code).toBe(0);
    expect(await outbox.cancel(id)).toBe(true);
    expect(smtp.mails).toHaveLength(1);
  });

  test('a fleet delivers it', async () => {
    const smtp = await server();
    const fleet = testFleet(env(smtp, { LOG_LEVEL: 'info' }));
    try {
      await Promise.all([fleet.start('relay'), fleet.start('email')]);
      const { code, stdout } = await waybill(['email', 'test', 'ann@b.test', '--json'], env(smtp));
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        by: 'fleet',
        sent: true,
        answer: expect.stringContaining('250'),
      });
    } finally {
      await fleet.end();
      await database.db.executeSql('delete from waybill.processes');
    }
  });

  test.each<[string, number, RegExp]>([
    ['refused for good', 550, /^not sent after [\d.]+ s: smtp: the server refuses the message: .*550/],
    ['refused for now', 450, /^not sent after [\d.]+ s: smtp: the server asks to try again: .*450/],
  ])('%s: exit code 1, and nothing is left waiting', async (_, reply, message) => {
    const smtp = await server({ answer: (stage) => (stage === 'rcpt' ? reply : undefined) });
    const { code, stdout } = await waybill(['email', 'test', 'ann@b.test'], env(smtp));
    expect(code).toBe(1);
    expect(stdout).toMatch(message);
    expect(stdout).not.toContain('ann@b.test');
    const waiting = `select 1 from waybill.outbox_messages where status in ('pending', 'failed', 'sending')`;
    expect((await database.db.executeSql(waiting)).rows).toEqual([]);
  });

  test('a wrong password is the operator’s matter', async () => {
    const smtp = await server({ auth: { user: 'me', pass: 'right' } });
    const wrong = smtp.url.replace('right', 'wrong');
    const { code, stdout } = await waybill(['email', 'test', 'ann@b.test'], env(smtp, { SMTP_URL: wrong }));
    expect(code).toBe(1);
    expect(stdout).toMatch(/does not accept our login/);
    expect(stdout).not.toContain('wrong');
  });

  test('the guard withholds it', async () => {
    const smtp = await server();
    const guarded = env(smtp, { WAYBILL_EMAIL_ALLOW: 'shop.test' });
    const { code, stdout } = await waybill(['email', 'test', 'ann@b.test'], guarded);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^not sent after .*: withheld: WAYBILL_EMAIL_ALLOW/);
    expect(smtp.mails).toEqual([]);
  });

  test.each<[string, Record<string, string>, string, number, RegExp]>([
    ['no address', {}, 'ann', 2, /invalid_address/],
    ['no sender', { WAYBILL_EMAIL_FROM: '' }, 'ann@b.test', 1, /from_required/],
    ['a rate, and no worker', { WAYBILL_EMAIL_RATE: '5' }, 'ann@b.test', 1, /email_not_worked/],
  ])('%s', async (_, more, address, expected, message) => {
    const { code, stdout, stderr } = await waybill(['email', 'test', address], env(await server(), more));
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

describe('doctor', () => {
  const findings = async (more: Record<string, string>): Promise<{ code: string; severity: string }[]> => {
    const { stdout } = await waybill(['doctor', '--json'], more);
    return (JSON.parse(stdout) as { findings: { code: string; severity: string }[] }).findings.filter(
      ({ code }) => code.startsWith('email_'),
    );
  };

  test('a login that works is no finding, and sends nothing', async () => {
    const smtp = await server({ auth: { user: 'me', pass: 'right' } });
    expect(await findings(env(smtp))).toEqual([]);
    expect(smtp.mails).toEqual([]);
  });

  test('it says how mail leaves and how long each message is tried, and warns of mail in clear', async () => {
    const smtp = await server();
    const { stdout } = await waybill(
      ['doctor'],
      env(smtp, {
        SMTP_URL: 'smtp://me:secret@mail.invalid:587',
        WAYBILL_SMTP_NAME: 'a.shop.test',
        WAYBILL_SMTP_CONNECTIONS: '3',
        WAYBILL_APP: 'app/index.ts',
      }),
    );
    expect(stdout).toContain(
      'mail: smtp over mail.invalid:587, STARTTLS, with a login, greeted as a.shop.test, 3 connections\n',
    );
    expect(stdout).toMatch(/^emails: gives up after about 24 h, 53 attempts$/m);
    expect(stdout).toMatch(/^job \S+: gives up after .*attempts?$/m);
    expect(stdout).not.toContain('secret');
    expect(await findings(env(smtp, { SMTP_URL: 'smtp://mail.invalid:587' }))).toContainEqual(
      expect.objectContaining({ code: 'email_in_clear', severity: 'warning' }),
    );
    expect(
      await findings(env(smtp, { SMTP_URL: 'smtp://mail.invalid:587?tls=required' })),
    ).not.toContainEqual(expect.objectContaining({ code: 'email_in_clear' }));
  });

  test('a wrong password is a problem, a server that is away a warning', async () => {
    const smtp = await server({ auth: { user: 'me', pass: 'right' } });
    expect(await findings(env(smtp, { SMTP_URL: smtp.url.replace('right', 'wrong') }))).toMatchObject([
      { code: 'email_provider_refuses', severity: 'problem' },
    ]);
    expect(await findings(env(smtp, { SMTP_URL: 'smtp://127.0.0.1:1' }))).toMatchObject([
      { code: 'email_provider_unreachable', severity: 'warning' },
    ]);
  });
});

describe('suppressions', () => {
  const run = (...args: string[]) => waybill(['suppressions', ...args], { DATABASE_URL: database.url });

  test('add, list, remove', async () => {
    expect(await run('list')).toMatchObject({ code: 0, stdout: 'no address\n' });
    expect(await run('add', 'Ann@B.test', '--reason', 'asked us')).toMatchObject({ code: 0 });
    expect((await run('add', 'ann@b.test')).stdout).toMatch(/already/);
    expect((await run('list')).stdout).toMatch(/ann@b\.test +\S+Z +asked us/);
    expect(JSON.parse((await run('list', '--contains', 'zoe', '--json')).stdout)).toEqual({
      suppressions: [],
      nextCursor: null,
    });
  });

  test('remove, and what cannot be removed or added', async () => {
    await run('add', 'bob@b.test');
    expect((await run('remove', 'Bob@b.test')).code).toBe(0);
    expect(await run('remove', 'bob@b.test')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/not_found/),
    });
    expect(await run('add', 'ann')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/invalid_address/),
    });
    expect(await run('list', '--limit', '0')).toMatchObject({ code: 2 });
  });
});
