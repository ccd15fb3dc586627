// What is in pg-boss's queues, as the relay, the sweep and the workers ask: read from its table, for it has no question of that sort.

import type { Executor } from '../db/executor.ts';
import type { Lane } from '../outbox/lane.ts';
import { onQueue } from './broken.ts';
import { bossQueue, fromBossQueue, idsOf } from './parcel.ts';

export type Contents = {
  /** Which of these queues hold parcels, and of which sort. A poll is progress only where the outbox answers too. */
  ready(queues: readonly string[]): Promise<{ readonly queue: string; readonly alone: boolean }[]>;
  /** Messages that parcels in each queue name. */
  depth(): Promise<Map<string, number>>;
  /** Messages that open parcels stand for, by lane. */
  promised(): Promise<readonly (Lane & { readonly messages: number })[]>;
  /** The ids that wait in these queues. */
  waiting(queues: readonly string[]): Promise<Set<string>>;
};

/** True, and it takes part in the outbox's locks: whoever asks meets a table that is locked or gone. */
const outboxAnswers = 'not exists (select from waybill.outbox_messages where false)';

/** @param outbox the application's database; undefined: queueDb is the same */
export function contentsOf(queueDb: Executor, outbox?: Executor): Contents {
  const contents = asked(queueDb, outbox);
  return {
    ready: (queues) => onQueue(() => contents.ready(queues)),
    depth: () => onQueue(contents.depth),
    promised: () => onQueue(contents.promised),
    waiting: (queues) => onQueue(() => contents.waiting(queues)),
  };
}

function asked(queueDb: Executor, outbox?: Executor): Contents {
  return {
    async ready(queues) {
      await outbox?.executeSql(`select where ${outboxAnswers}`);
      const sql = `select name from unnest($1::text[]) as q(name)
        where exists (select from pgboss.job j where j.name = q.name and j.state = 'created')${outbox ? '' : ` and ${outboxAnswers}`}`;
      return (await queueDb.executeSql<{ name: string }>(sql, [withAlone(queues)])).rows.map((row) =>
        fromBossQueue(row.name),
      );
    },
    async depth() {
      const sql = `select name, sum(jsonb_array_length(data -> 'ids'))::int as messages
        from pgboss.job where state = 'created' and jsonb_typeof(data -> 'ids') = 'array' group by name`;
      const { rows } = await queueDb.executeSql<{ name: string; messages: number }>(sql);
      const depth = new Map<string, number>();
      for (const { name, messages } of rows) {
        const { queue } = fromBossQueue(name);
        depth.set(queue, (depth.get(queue) ?? 0) + messages);
      }
      return depth;
    },
    async promised() {
      const sql = `select name as queue, priority, sum(case when data ->> 'any' ~ '^[0-9]{1,6}$' then (data ->> 'any')::int else 0 end)::int as messages
        from pgboss.job where state = 'created' and jsonb_typeof(data -> 'any') = 'number' group by name, priority`;
      return (await queueDb.executeSql<Lane & { messages: number }>(sql)).rows;
    },
    async waiting(queues) {
      const sql = `select data from pgboss.job where name = any($1) and state = 'created'`;
      const { rows } = await queueDb.executeSql<{ data: unknown }>(sql, [withAlone(queues)]);
      return new Set(rows.flatMap((row) => idsOf(row.data)));
    },
  };
}

function withAlone(queues: readonly string[]): string[] {
  return queues.flatMap((queue) => [bossQueue(queue, false), bossQueue(queue, true)]);
}
