// `waybill release`: migrates the database, installs the queue's own schema and stages the cron manifest, before a deployment's processes start.
// The application is loaded first, so that its errors are found before anything is changed.

import type { Command } from 'commander';
import { manifestOf, stageManifest } from '../../cron/manifest.ts';
import { migrate, standardSources } from '../../db/migrate.ts';
import { loadApp } from '../../define/load.ts';
import { configuredQueue } from '../../fleet/role.ts';
import { print, say, type Output } from '../print.ts';
import { withDatabase, type Session } from '../session.ts';
import { migrationLines, sayWaiting } from './migrate.ts';

export function addRelease(program: Command): void {
  program
    .command('release')
    .description('prepare the database for this version: migrations and the queue')
    .action(async (options: Output) => {
      const report = await withDatabase(async (session) => {
        const app = await loadApp(session.config.app);
        for (const notice of app.cron.notices) say(notice);
        const manifest = manifestOf(app);
        const migrations = await migrate(session.db, standardSources(session.config.app), {
          onWait: sayWaiting,
        });
        await installQueue(session);
        const status = await stageManifest(session.db, manifest);
        const cron = { manifestVersion: manifest.hash, jobs: manifest.jobs.length, status };
        return { ...migrations, queue: 'installed', cron };
      }, 'application');
      print(report, options, (done) => [
        ...migrationLines(done),
        'the queue is installed',
        `the cron manifest ${done.cron.manifestVersion} with ${done.cron.jobs} jobs is ${done.cron.status}`,
      ]);
      leaveLater();
    });
}

/** The application's open handles must not hold up a deployment: the process exits after 2 s at the latest. */
export function leaveLater(): void {
  setTimeout(() => process.exit(process.exitCode ?? 0), 2_000).unref();
}

async function installQueue({ config, db }: Session): Promise<void> {
  const onError = (error: Error): void => say(`the queue's database: ${error.message}`);
  const queue = configuredQueue(config, db, { applicationName: 'waybill release', max: 2, onError });
  try {
    await queue.install();
  } finally {
    await queue.close();
  }
}
