// A shop with two million messages: a Postgres whose data stay, filled once for each version of the schema, and copies of its database to work on.
//
//   node --import tsx bench/shop.ts [--messages 2000000] [--dir FOLDER] [--port N] [--postgres 15|18|FOLDER]
//
// fills it if need be, prints the DATABASE_URL of a fresh copy, and keeps the server until it is interrupted.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { dataFolder, serverUser } from '../src/dev/postgres-home.ts';
import { startPostgres, type EmbeddedPostgres } from '../src/dev/postgres.ts';
import type { Executor } from '../src/db/executor.ts';
import { migrate, standardSources } from '../src/db/migrate.ts';
import { openDatabase, type Database } from '../src/db/pool.ts';
import { count, during, tell } from './progress.ts';
import { besideSql, freshSql } from './shop-beside.ts';
import { mailingSql, ordersSql, shares } from './shop-messages.ts';

export type ShopOptions = {
  /** Default 2,000,000. */
  readonly messages?: number | undefined;
  /** Folder of the data. Default: one in the project's `.waybill/`, or in the temporary directory. */
  readonly dir?: string | undefined;
  readonly port?: number | undefined;
  readonly settings?: Readonly<Record<string, string>>;
};

export type Shop = {
  readonly server: EmbeddedPostgres;
  readonly messages: number;
  /** Copies the filled database, in some seconds, and returns its connection string. */
  copy(name?: string): Promise<string>;
  drop(name?: string): Promise<void>;
  /** Stops the server; its data stay. */
  end(): Promise<void>;
};

/** Nothing of it has to survive a crash of the machine: it can be made again. */
const settings = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  shared_buffers: '512MB',
  max_wal_size: '8GB',
  maintenance_work_mem: '256MB',
  shared_preload_libraries: 'pg_stat_statements',
};

/** A filled database is good for that long: its newest messages are some minutes old when it is made. */
const freshFor = `interval '20 hours'`;

const open = (url: string): Database =>
  openDatabase({ url, max: 2, applicationName: 'shop', onIdleError: () => undefined });

export async function openShop(options: ShopOptions = {}): Promise<Shop> {
  const messages = options.messages ?? 2_000_000;
  const dir = options.dir ?? dataFolder(`shop-${messages}`, serverUser());
  const port = options.port === undefined ? {} : { port: options.port };
  const server = await startPostgres({ dir, settings: { ...settings, ...options.settings }, ...port });
  const name = `shop_${messages}_${schemaDigest()}`;
  const admin = open(server.url());
  try {
    await admin.executeSql('create extension if not exists pg_stat_statements');
    if (!(await isFresh(admin, name))) await fill(admin, server, name, messages);
  } finally {
    await admin.end();
  }
  return {
    server,
    messages,
    async copy(copied = 'shop') {
      await alone(server, [
        `drop database if exists ${copied} with (force)`,
        `create database ${copied} template ${name} strategy file_copy`,
      ]);
      const db = open(server.url(copied));
      await db.executeSql(freshSql);
      await db.end();
      return server.url(copied);
    },
    drop: (copied = 'shop') => alone(server, [`drop database if exists ${copied} with (force)`]),
    end: () => server.end(),
  };
}

/** A changed schema, or a changed filling, makes the database anew. */
function schemaDigest(): string {
  const folder = fileURLToPath(new URL('../sql/', import.meta.url));
  const sources = readdirSync(folder)
    .toSorted()
    .map((file) => `${folder}${file}`);
  const own = ['./shop-messages.ts', './shop-beside.ts'].map((file) =>
    fileURLToPath(new URL(file, import.meta.url)),
  );
  const hash = createHash('sha256');
  for (const file of [...sources, ...own]) hash.update(basename(file)).update(readFileSync(file));
  return hash.digest('hex').slice(0, 10);
}

async function isFresh(admin: Database, name: string): Promise<boolean> {
  const filled = `select from pg_database d where datname = $1
    and shobj_description(oid, 'pg_database')::timestamptz > now() - ${freshFor}`;
  return (await admin.executeSql(filled, [name])).rows.length > 0;
}

async function alone(server: EmbeddedPostgres, statements: readonly string[]): Promise<void> {
  const admin = open(server.url());
  try {
    for (const statement of statements) await unlimited(admin, statement);
  } finally {
    await admin.end();
  }
}

/** Without a time limit, and outside a transaction. */
async function unlimited(db: Database, sql: string, values: unknown[] = []): Promise<void> {
  const client = await db.connect();
  try {
    await client.query('set statement_timeout = 0');
    await client.query(sql, values);
  } finally {
    await client.end();
  }
}

async function fill(
  admin: Database,
  server: EmbeddedPostgres,
  name: string,
  messages: number,
): Promise<void> {
  const old = await admin.executeSql<{ datname: string }>(
    `select datname from pg_database where datname like 'shop%'`,
  );
  for (const { datname } of old.rows)
    await unlimited(admin, `drop database if exists ${datname} with (force)`);
  await unlimited(admin, `create database ${name}`);
  const db = open(server.url(name));
  try {
    await migrate(db, standardSources('app/index.ts'));
    await fillMessages(db, messages);
    await during('analyze', unlimited(db, 'analyze'));
    for (const [what, sql] of Object.entries(besideSql))
      await during(what, unlimited(db, sql.replaceAll('$1', String(messages))));
    await during('vacuum and analyze', unlimited(db, 'vacuum (analyze)'));
  } finally {
    await db.end();
  }
  await unlimited(admin, `comment on database ${name} is '${new Date().toISOString()}'`);
}

const part = 25_000;

async function fillMessages(db: Database, messages: number): Promise<void> {
  const { orders, mailing } = shares(messages);
  const indexes = await takeIndexes(db);
  // The positions of order keys are in the formulas. The trigger for the hash of recipients and the one for dates stay.
  await db.executeSql('alter table waybill.outbox_messages disable trigger outbox_ordered');
  for (let first = 1; first <= orders; first += part) {
    tell(`${count(Math.round((first - 1) * 8))} of ${count(messages)} messages`);
    await unlimited(db, ordersSql, [first, Math.min(orders, first + part - 1), orders]);
  }
  await unlimited(db, mailingSql, [mailing]);
  await db.executeSql('alter table waybill.outbox_messages enable trigger outbox_ordered');
  for (const index of indexes) await during(index.split(' ON ')[0]!, unlimited(db, index));
}

/** Indexes are made after the rows; a primary key stays. Returns the statements that make them. */
async function takeIndexes(db: Executor): Promise<string[]> {
  const found = `select i.indexname as name, i.indexdef as definition from pg_indexes i
    where i.schemaname = 'waybill' and i.tablename = 'outbox_messages' and not exists (select from pg_constraint c where c.conname = i.indexname)`;
  const { rows } = await db.executeSql<{ name: string; definition: string }>(found);
  for (const { name } of rows) await db.executeSql(`drop index waybill.${name}`);
  return rows.map(({ definition }) => definition);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      messages: { type: 'string' },
      dir: { type: 'string' },
      port: { type: 'string' },
      postgres: { type: 'string' },
    },
  });
  if (values.postgres !== undefined) process.env['WAYBILL_TEST_POSTGRES'] = values.postgres;
  const shop = await openShop({
    messages: values.messages === undefined ? undefined : Number(values.messages),
    dir: values.dir,
    port: values.port === undefined ? undefined : Number(values.port),
  });
  console.log(`DATABASE_URL=${await during('a fresh copy', shop.copy())}`);
  const ended = new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  const held = setInterval(() => undefined, 60_000);
  await ended;
  clearInterval(held);
  await shop.end();
}
