// `waybill release`: what a deployment does before its processes start. Migrations, then the queue's own schema.

import type { Command } from 'commander';
import { migrate, standardSources } from '../../db/migrate.ts';
import { installQueue } from '../../queue/install.ts';
import { print, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { migrationLines } from './migrate.ts';

export function addRelease(program: Command): void {
  program
    .command('release')
    .description('prepare the database for this version: migrations and the queue')
    .option('--json', 'the result as JSON')
    .action(async (options: Output) => {
      const report = await withDatabase(async ({ config, db }) => {
        const migrations = await migrate(db, standardSources(config.app));
        await installQueue(config);
        return { ...migrations, queue: 'installed' };
      });
      print(report, options, (done) => [...migrationLines(done), 'the queue is installed']);
    });
}
