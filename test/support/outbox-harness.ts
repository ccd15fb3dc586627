// The outbox on Postgres, as the conformance suite wants it: through any executor.

import { retryMessage } from '../../src/operate/operate.ts';
import type { Executor } from '../../src/db/executor.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { OutboxHarness, SeenMessage } from '../../src/testing/outbox-case.ts';

/** @param looking a connection that answers with what is there, where the one under test has ideas of its own */
export function postgresHarness(db: Executor, looking: Executor = db): OutboxHarness {
  return {
    port: createPostgresOutbox(db),
    retry: (id) => retryMessage(looking, id),
    async see(id) {
      const sql = `select status, attempts, last_error as "lastError" from waybill.outbox_messages where id = $1`;
      return (await looking.executeSql<SeenMessage>(sql, [id])).rows[0]!;
    },
  };
}
