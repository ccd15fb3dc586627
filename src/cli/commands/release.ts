// `waybill release`: what a deployment does before its processes start. Migrations, then the queue's own schema.

import type { Command } from 'commander';
import { migrate, standardSources } from '../../db/migrate.ts';
import { openDatabase } from '../../db/pool.ts';
import { openQueue } from '../../queue/boss.ts';
import { print, say, type Output } from '../print.ts';
import { withDatabase, type Session } from '../session.ts';
import { migrationLines } from './migrate.ts';

export function addRelease(program: Command): void {
  program
    .command('release')
    .description('prepare the database for this version: migrations and the queue')
    .option('--json', 'the result as JSON')
    .action(async (options: Output) => {
      const report = await withDatabase(async (session) => {
        const migrations = await migrate(session.db, standardSources(session.config.app));
        await installQueue(session);
        return { ...migrations, queue: 'installed' };
      });
      print(report, options, (done) => [...migrationLines(done), 'the queue is installed']);
    });
}

async function installQueue({ config, db }: Session): Promise<void> {
  const onError = (error: Error): void => say(`the queue's database: ${error.message}`);
  const common = { applicationName: 'waybill release', max: 2, onIdleError: onError };
  const apart = config.queueDatabaseUrl !== config.databaseUrl;
  const queueDb = apart ? openDatabase({ ...common, url: config.queueDatabaseUrl }) : db;
  try {
    await openQueue({ db, queueDb, backend: config.queueBackend, onError }).install();
  } finally {
    if (apart) await queueDb.end();
  }
}
