import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresOutbox } from '../../src/index.ts';
import { startFakeSmtpServer, startTestFleet } from '../../src/testing.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const app = 'test/support/fleet-app.ts';
const marksTables = `
  create table marks (message_id uuid, attempt int, what text, pid int, at timestamptz default clock_timestamp());
  create table effects (message_id uuid)`;

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase({ migrated: false });
});
afterAll(async () => database.end());

describe('startTestFleet', () => {
  it('applies the migrations, delivers what is recorded, says when it is done, and leaves cleanly', async () => {
    const smtp = await startFakeSmtpServer();
    const env = { WAYBILL_EMAIL_PROVIDER: 'smtp', SMTP_URL: smtp.url };
    const fleet = await startTestFleet({ databaseUrl: database.url, app, env });
    try {
      await database.db.executeSql(marksTables);
      const outbox = createPostgresOutbox(database.db);
      const job = { kind: 'job', name: 'flaky', queue: 'jobs', maxAttempts: 3 } as const;
      const later = new Date(Date.now() + 3_600_000);
      await outbox.enqueue([
        { ...job, payload: { failures: 1 } },
        { ...job, payload: { failures: 9 } },
        { ...job, payload: { failures: 0 }, availableAt: later },
        { kind: 'event', name: 'happened', queue: 'events', payload: { n: 1 } },
        {
          kind: 'email',
          name: 'email',
          queue: 'email',
          payload: { from: 'a@shop.test', to: 'b@b.test', subject: 'Hi', text: 'Hello' },
        },
      ]);
      const counts = await fleet.settled();
      expect(counts).toEqual({ pending: 1, sending: 0, failed: 0, delivered: 5, dead: 1, cancelled: 0 });
      expect(smtp.mails.map(({ parsed }) => parsed.subject)).toEqual(['Hi']);
    } finally {
      await fleet.close();
      await smtp.close();
    }
    await fleet.close(); // again: the same end
    const left = await database.db.executeSql('select from waybill.processes');
    expect(left.rows).toEqual([]);
  });

  it('names what is left when it takes too long', async () => {
    await using fleet = await startTestFleet({ databaseUrl: database.url, app });
    const outbox = createPostgresOutbox(database.db);
    await outbox.enqueue({ kind: 'job', name: 'work', queue: 'jobs', payload: { ms: 1_500 } });
    await expect(fleet.settled({ timeoutMs: 100 })).rejects.toMatchObject({
      code: 'test_fleet_unsettled',
      message: expect.stringMatching(/"name":"work"/) as string,
    });
    await fleet.settled();
  });

  it('a fleet that ends says why', async () => {
    const nowhere = startTestFleet({ databaseUrl: database.url, app: 'nowhere/index.ts' });
    await expect(nowhere).rejects.toMatchObject({
      code: 'test_fleet_ended',
      message: expect.stringContaining('there is no file nowhere/index.ts') as string,
    });
    const misspelt = { databaseUrl: database.url, application: app } as unknown as {
      databaseUrl: string;
      app: string;
    };
    await expect(startTestFleet(misspelt)).rejects.toThrow('application');
  });

  it('a handler that ends its process is told by settled', async () => {
    const fleet = await startTestFleet({ databaseUrl: database.url, app });
    const outbox = createPostgresOutbox(database.db);
    await outbox.enqueue({ kind: 'job', name: 'poison', queue: 'jobs', payload: {}, maxAttempts: 1 });
    await expect(fleet.settled()).rejects.toMatchObject({ code: 'test_fleet_ended' });
    await expect(fleet.close()).rejects.toMatchObject({ code: 'test_fleet_ended' });
  });
});
