// The contents of pg-boss's queues, for the relay and the workers. They are read from its table, because its API does not offer them.

import type { Executor } from '../db/executor.ts';
import { onQueue } from './instance.ts';
import type { WakeUp } from './wake-up.ts';

export type Contents = {
  /** Which of these queues hold wake-ups. */
  ready(queues: readonly string[]): Promise<string[]>;
  /** The messages that the wake-ups of each place stand for. @param tx a transaction on the application's database, whose own wake-ups count */
  announced(tx?: Executor): Promise<readonly WakeUp[]>;
};

/** @param isApart pg-boss is in another database than the outbox */
export function contentsOf(queueDb: Executor, isApart: boolean): Contents {
  return {
    ready: (queues) =>
      onQueue(async () => {
        const sql = `select name from unnest($1::text[]) as q(name)
          where exists (select from pgboss.job j where j.name = q.name and j.state = 'created')`;
        return (await queueDb.executeSql<{ name: string }>(sql, [queues])).rows.map(({ name }) => name);
      }),
    announced: (tx = queueDb) =>
      onQueue(async () => {
        const sql = `select name as queue, priority, data ? 'grouped' as "isGrouped",
            sum(case when data ->> 'messages' ~ '^[0-9]{1,6}$' then (data ->> 'messages')::int else 0 end)::int as messages
          from pgboss.job where state = 'created' and jsonb_typeof(data -> 'messages') = 'number' group by 1, 2, 3`;
        return (await (isApart ? queueDb : tx).executeSql<WakeUp>(sql)).rows;
      }),
  };
}
