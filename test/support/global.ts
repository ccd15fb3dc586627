// Once per run: one embedded Postgres, and in it a template database with all migrations applied.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../src/dev/postgres.ts';
import { migrate, standardSources } from '../../src/db/migrate.ts';
import { openDatabase } from '../../src/db/pool.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Connection string of the server's `postgres` database. */
    postgresUrl: string;
    /** The migrated database that `testDatabase` clones. */
    templateName: string;
    /** A folder for the tarball of this package, which the first test that needs it makes. */
    packFolder: string;
  }
}

const TEMPLATE = 'waybill_template';

// Without fsync the kernel still holds every page and WAL record that was written: a crash of Postgres alone (which tests
// provoke) loses nothing, only one of the machine would. `synchronous_commit` stays on, because such a crash does lose what
// was not even written. Autovacuum stays on too: part of what is tested runs under it.
const FAST = { fsync: 'off', full_page_writes: 'off', shared_buffers: '256MB', max_connections: '300' };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await startPostgres({ persistent: false, settings: FAST });
  const db = openDatabase({
    url: postgres.url(),
    max: 1,
    applicationName: 'waybill-tests',
    onIdleError: (error) => console.error('idle connection of the test setup:', error.message),
  });
  await db.executeSql(`create database ${TEMPLATE}`);
  await db.end();
  await migrateTemplate(postgres.url(TEMPLATE));
  project.provide('postgresUrl', postgres.url());
  project.provide('templateName', TEMPLATE);
  const packFolder = mkdtempSync(join(tmpdir(), 'waybill-pack-'));
  project.provide('packFolder', packFolder);
  return async () => {
    rmSync(packFolder, { recursive: true, force: true });
    await postgres.end();
  };
}

async function migrateTemplate(url: string): Promise<void> {
  const template = openDatabase({
    url,
    max: 2,
    applicationName: 'waybill-tests',
    onIdleError: (error) => console.error('idle connection of the template:', error.message),
  });
  try {
    await migrate(template, standardSources('app/index.ts'));
    // What the engine writes it vouches for; here it is held against the rules all the same.
    await template.executeSql(`create trigger outbox_strict after insert or update on waybill.outbox_messages
      for each row execute function waybill.outbox_check_row()`);
  } finally {
    await template.end();
  }
}
