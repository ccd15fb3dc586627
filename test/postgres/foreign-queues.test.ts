// Real Postgres, real pg-boss: a schema `pgboss` that we share with somebody else, and that has lost a part.

import { expect, it } from 'vitest';
import { PgBoss } from 'pg-boss';
import { openQueue } from '../../src/queue/boss.ts';
import { registerQueues } from '../../src/queues/queues.ts';
import { testDatabase } from '../support/database.ts';

it('an incomplete schema with queues of others is moved aside whole, told, and made anew', async () => {
  const database = await testDatabase();
  const theirs = new PgBoss({ connectionString: database.url, supervise: false, schedule: false });
  theirs.on('error', () => undefined);
  const told: string[] = [];
  const onError = ({ message }: Error): void => void told.push(message);
  const queue = openQueue({ db: database.db, queueDb: database.db, backend: 'postgres', onError });
  const ask = async <T>(sql: string): Promise<T[]> => (await database.db.executeSql<T>(sql)).rows;
  try {
    await theirs.start();
    await theirs.createQueue('invoices');
    await theirs.send('invoices', { n: 1 });
    await registerQueues(database.db, ['jobs']);
    await queue.install();
    await queue.ensure(['jobs']);
    expect(told).toEqual([]);
    await ask('drop function pgboss.create_queue cascade');
    await queue.install();
    const [aside] = await ask<{ name: string }>(
      `select nspname::text as name from pg_namespace where nspname like 'pgboss\\_broken\\_%'`,
    );
    expect(told).toEqual([expect.stringContaining(`it is ${aside!.name} now`)]);
    expect(await ask(`select data from ${aside!.name}.job where name = 'invoices'`)).toEqual([
      { data: { n: 1 } },
    ]);
    await queue.ensure(['jobs']);
    expect(await ask('select name from pgboss.queue')).toContainEqual({ name: 'jobs' });
  } finally {
    await theirs.stop({ graceful: false });
    await queue.close();
    await database.end();
  }
});

it('a queue of the same name that somebody else created is refused, and keeps its jobs', async () => {
  const database = await testDatabase();
  const theirs = new PgBoss({ connectionString: database.url, supervise: false, schedule: false });
  theirs.on('error', () => undefined);
  const told: string[] = [];
  const onError = ({ message }: Error): void => void told.push(message);
  const queue = openQueue({ db: database.db, queueDb: database.db, backend: 'postgres', onError });
  const taken = { code: 'queue_taken', message: expect.stringContaining('QUEUE_DATABASE_URL') as string };
  try {
    await theirs.start();
    await theirs.createQueue('jobs');
    await theirs.send('jobs', { n: 1 });
    await registerQueues(database.db, ['jobs']);
    await expect(queue.install()).rejects.toMatchObject(taken); // release, relay
    await expect(queue.take('jobs', 10)).rejects.toMatchObject(taken); // workers
    await expect(queue.ensure(['jobs'])).rejects.toMatchObject(taken);
    expect(await theirs.fetch('jobs')).toMatchObject([{ data: { n: 1 } }]);
    expect(told).toEqual([]);

    await database.db.executeSql('drop function pgboss.create_queue cascade');
    await expect(queue.install()).resolves.toBeUndefined(); // it is moved aside whole, because it is broken
    expect(told).toEqual([expect.stringMatching(/holds queues of others \(jobs\): it is pgboss_broken_/)]);
  } finally {
    await theirs.stop({ graceful: false });
    await queue.close();
    await database.end();
  }
});
