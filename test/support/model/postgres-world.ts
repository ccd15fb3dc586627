// The outbox on Postgres as the model sees it: one queue for each path. Doubled: time passes by moving the times of its rows into the past.

import { newId } from '../../../src/message/id.ts';
import { retryMessage, cancelMessage } from '../../../src/operate/operate.ts';
import { unblockKey } from '../../../src/operate/order.ts';
import { pauseQueue, registerQueues, resumeQueue } from '../../../src/queues/queues.ts';
import type { Database } from '../../../src/db/pool.ts';
import { WaybillError } from '../../../src/errors.ts';
import { createPostgresOutbox } from '../../../src/store/postgres.ts';
import { act, type ClaimTokens } from './act.ts';
import type { Seen } from './seen.ts';
import { unit } from './state.ts';
import type { Answer, PersonalAct, Step } from './step.ts';

const units = (time: string): string =>
  `greatest(0, round(extract(epoch from ${time} - now()) / ${unit / 1000}))::int`;

/** Values: queue. `due` of a message behind another one is its own. */
const seenSql = `
  select id::text as id, status, payload::int as payload, attempts, expirations,
         case when status in ('pending', 'failed') then ${units(`coalesce(nullif(available_at, 'infinity'), order_due)`)} end as due,
         available_at = 'infinity' and status in ('pending', 'failed') as behind,
         shared_key is not null and relayed_at is not null and status in ('pending', 'failed') as held,
         substr(claimed_by, length(queue) + 2) as "claimedBy", case when claimed_until is not null then ${units('claimed_until')} end as "claimedFor", prefetched
    from waybill.outbox_messages where queue = $1`;

/** Values: queue, ms. The revision is the mark of the engine's own writes. */
const passSql = `
  update waybill.outbox_messages set revision = revision + 1, available_at = available_at - $2 * interval '1 ms',
         created_at = created_at - $2 * interval '1 ms', claimed_until = claimed_until - $2 * interval '1 ms'
   where queue = $1`;

export class PostgresWorld {
  readonly #db: Database;
  readonly #queue = `model-${newId()}`;
  readonly #ids: string[] = [];
  readonly #tokens: ClaimTokens[] = [];
  #recordings = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  async begin(): Promise<this> {
    await registerQueues(this.#db, [this.#queue]);
    return this;
  }

  async do(step: Step): Promise<Answer> {
    const queue = this.#queue;
    if (step.do === 'pass') await this.#db.executeSql(passSql, [queue, unit]);
    const answer = await act(
      {
        port: createPostgresOutbox(this.#db),
        queue,
        recordings: this.#recordings,
        ids: this.#ids,
        token: (row, isStale) => this.#tokens[row]![isStale ? 'first' : 'last'],
        claimed: (row, token) =>
          void (this.#tokens[row] = { first: this.#tokens[row]?.first ?? token, last: token }),
        person: (what, id) => this.#person(what, id),
        pause: async (isPaused) => {
          await (isPaused
            ? pauseQueue(this.#db, queue, { by: 'model', reason: null })
            : resumeQueue(this.#db, queue));
        },
      },
      step,
    );
    if (step.do === 'record') this.#recordings++;
    return answer;
  }

  async #person(what: PersonalAct, id: string): Promise<boolean> {
    const db = this.#db;
    try {
      if (what === 'cancel') return await createPostgresOutbox(db).cancel(id);
      if (what === 'retry') await retryMessage(db, id);
      else if (what === 'dismiss') {
        if ((await this.#status(id)) !== 'dead') return false; // it would cancel a message that waits
        await cancelMessage(db, id);
      } else await unblockKey(db, await this.#keyOf(id), { by: 'model', reason: null });
      return true;
    } catch (error) {
      if (error instanceof WaybillError) return false;
      throw error;
    }
  }

  async #status(id: string): Promise<string | undefined> {
    const sql = 'select status from waybill.outbox_messages where id = $1';
    return (await this.#db.executeSql<{ status: string }>(sql, [id])).rows[0]?.status;
  }

  /** No key, when it is not dead: `unblock` is for dead messages. */
  async #keyOf(id: string): Promise<{ queue: string; orderKey: string }> {
    const sql = `select order_key as key from waybill.outbox_messages where id = $1 and status = 'dead'`;
    const { rows } = await this.#db.executeSql<{ key: string | null }>(sql, [id]);
    return { queue: this.#queue, orderKey: rows[0]?.key ?? 'none' };
  }

  /** In the order of their recording. */
  async seen(): Promise<Seen[]> {
    const { rows } = await this.#db.executeSql<Seen & { id: string }>(seenSql, [this.#queue]);
    const found = new Map(rows.map(({ id, ...seen }) => [id, seen]));
    return this.#ids.map((id) => found.get(id)!);
  }
}
