// What tests of imports share: an import into a database with the application import-app.ts, and the messages that it recorded.

import type { Database } from '../../src/db/pool.ts';
import { createRegistry } from '../../src/define/registry.ts';
import { parsePayloadKeys, type PayloadKeys } from '../../src/message/seal.ts';
import { importJobs, type ImportOptions, type ImportReport } from '../../src/transfer/import.ts';
import { parseImportMap } from '../../src/transfer/import-map.ts';
import { postgresSource, type Tables } from '../../src/transfer/postgres-source.ts';
import type { Source } from '../../src/transfer/source.ts';
import app from './import-app.ts';

const payloadKeys = parsePayloadKeys(`k1:${Buffer.alloc(32, 1).toString('base64')}`) as PayloadKeys;
const registry = createRegistry(app.app);
const maxPayloadBytes = 262_144;

export type Rows = Readonly<Record<string, object>>;

/** The rows of a map for the two jobs of the application. */
export const receipt = { kind: 'job', name: 'receipt' };
export const account = { kind: 'job', name: 'account' };

export async function runImport(
  db: Database,
  source: Source,
  queues: Rows,
  options: Partial<ImportOptions> = {},
): Promise<ImportReport> {
  const map = parseImportMap(JSON.stringify({ queues }), 'map.json');
  return importJobs(
    source,
    { source: source.name, map, registry, maxPayloadBytes, emailFrom: null },
    { source: source.name, db, maxPayloadBytes, payloadKeys },
    {
      dryRun: false,
      strict: false,
      skipUnmapped: false,
      failed: false,
      limit: undefined,
      batchSize: 10,
      signal: new AbortController().signal,
      onProgress: () => undefined,
      ...options,
    },
  );
}

/** A source in the database of the messages. */
export const here = (tables: Tables, { db }: { readonly db: Database }): Source =>
  postgresSource(tables, { db, isHere: true });

/** A source in another database. It is not closed with the source: other tests go on with it. */
export const there = (tables: Tables, { db }: { readonly db: Database }): Source =>
  postgresSource(tables, { db, isHere: false });

/** A database whose transactions fail: before they commit, or after. */
export function failing(db: Database, when: 'before' | 'after'): Database {
  return {
    ...db,
    async transaction(body, ...rest) {
      if (when === 'after') await db.transaction(body, ...rest);
      throw new Error('the import dies');
    },
  };
}

/** The numbers in the payloads of the messages, in the order in which they were recorded. */
export async function recordedNumbers(db: Database): Promise<number[]> {
  const sql = `select (payload ->> 'n')::int as n from waybill.outbox_messages
    order by case when order_key is null then 0 else abs(order_position) end, id`;
  return (await db.executeSql<{ n: number }>(sql)).rows.map(({ n }) => n);
}
