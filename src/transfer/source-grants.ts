// The database of --from: where its role lacks a privilege, the error says that it is this role, and which privileges an import needs.

import { sqlState } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { WaybillError } from '../errors.ts';

export function namingGrants(db: Database, schema: string): Database {
  const naming = <E extends Executor>(executor: E): E => ({
    ...executor,
    async executeSql<Row>(...given: Parameters<Executor['executeSql']>) {
      try {
        return await executor.executeSql<Row>(...given);
      } catch (error) {
        throw sqlState(error) === '42501' ? forbidden(error as Error, schema) : error;
      }
    },
  });
  return { ...naming(db), transaction: (body, ...rest) => db.transaction((tx) => body(naming(tx)), ...rest) };
}

function forbidden(cause: Error, schema: string): WaybillError {
  return new WaybillError(
    'source_forbidden',
    `the role of --from lacks a privilege: ${cause.message}. It needs USAGE and CREATE on the schema ${schema}, because the import makes its table waybill_import there, and SELECT, UPDATE and DELETE on the tables; a dry run needs only USAGE and SELECT`,
    [],
    { cause },
  );
}
