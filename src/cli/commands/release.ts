// `waybill release`: migrates the database, installs the queue's own schema and stages the cron manifest, before a deployment's processes start.
// The application is loaded first, so that its errors are found before anything is changed.

import type { Command } from 'commander';
import { manifestOf, stageManifest } from '../../cron/manifest.ts';
import { migrate, standardSources } from '../../db/migrate.ts';
import { loadApp } from '../../define/load.ts';
import { WaybillError } from '../../errors.ts';
import { configuredQueue } from '../../fleet/role.ts';
import { counted, say, type Output } from '../print.ts';
import { onEachDatabase, refuseSameDatabases } from '../each-database.ts';
import type { Session } from '../session.ts';
import { unknownDatabase } from '../inspection.ts';
import { migrationLines, sayWaiting } from './migrate.ts';

export function addRelease(program: Command): void {
  program
    .command('release')
    .description('prepare the database for this version: migrations and the queue')
    .action(async (options: Output) => {
      await refuseSameDatabases();
      await onEachDatabase(release, { options, lines, use: 'application' });
      leaveLater();
    });
}

type Released = Awaited<ReturnType<typeof release>>;

/** In every database of the fleet, one after the other; it ends with the first that fails. */
async function release(session: Session) {
  const { config, db } = session;
  const all = await loadApp(config.app);
  const app = await loadApp(config.app, config.database);
  for (const notice of app.cron.notices) say(notice);
  const unknown = unknownDatabase(all, config);
  if (unknown !== undefined) throw new WaybillError('unknown_database', unknown);
  const manifest = manifestOf(app);
  const migrations = await migrate(db, standardSources(config.app), { onWait: sayWaiting });
  await installQueue(session);
  const status = await stageManifest(db, manifest);
  const cron = { manifestVersion: manifest.hash, jobs: manifest.jobs.length, status };
  return { ...migrations, queue: 'installed', cron };
}

function lines(done: Released): string[] {
  return [
    ...migrationLines(done),
    'the queue is installed',
    `the cron manifest ${done.cron.manifestVersion} with ${counted(done.cron.jobs, 'job')} is ${done.cron.status}`,
  ];
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
