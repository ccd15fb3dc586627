// `waybill migrate`: applies each file of sql/ and of the application's sql/ once.

import type { Command } from 'commander';
import { migrate, standardSources, type MigrationReport } from '../../db/migrate.ts';
import { onEachDatabase, refuseSameDatabases } from '../each-database.ts';
import { say, type Output } from '../print.ts';

export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('apply the migrations that are not applied yet')
    .option('--dry-run', 'only say which ones are pending')
    .action(async (options: Output & { dryRun?: boolean }) => {
      if (!options.dryRun) await refuseSameDatabases();
      await onEachDatabase(
        ({ config, db }) =>
          migrate(db, standardSources(config.app), { dryRun: options.dryRun ?? false, onWait: sayWaiting }),
        { options, lines: migrationLines, use: 'application' },
      );
    });
}

export function sayWaiting(): void {
  say('another release is at work on this database: waiting for its end');
}

export function migrationLines({ applied, pending }: MigrationReport): string[] {
  const lines = [...applied.map((id) => `applied ${id}`), ...pending.map((id) => `pending ${id}`)];
  return lines.length > 0 ? lines : ['nothing to apply'];
}
