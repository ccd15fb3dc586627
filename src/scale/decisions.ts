// The decisions as rows: whoever has the turn decides for all queues, everybody reads.

import type { Transactions } from '../db/transaction.ts';
import type { Executor } from '../db/executor.ts';
import { advise, targetDrainSeconds, type AdviceState } from './advice.ts';
import { fit, nextCapacities, type Capacities } from './connections.ts';
import { measureConnections, measureQueues } from './measure.ts';

/** Given every ten seconds at most, to one process of the fleet; the others do not wait for it. */
export const takeTurnSql = `
  update waybill.autoscale_turn set at = now()
   where one and one in (select one from waybill.autoscale_turn where at <= now() - interval '9 seconds' for update skip locked)
  returning capacities, extract(epoch from now())::float8 as now`;

export const earlierSql = `select queue, state from waybill.autoscale`;

/** Queues that are not there any more go after a day. */
export const decideSql = `
  with gone as (delete from waybill.autoscale where decided_at < now() - interval '1 day' and not queue = any($1::text[])),
  turn as (update waybill.autoscale_turn set capacities = $6 where one)
  insert into waybill.autoscale (queue, recommended, exact, facts, state)
  select * from unnest($1::text[], $2::int[], $3::float8[], $4::jsonb[], $5::jsonb[])
  on conflict (queue) do update set recommended = excluded.recommended, exact = excluded.exact, facts = excluded.facts,
    state = excluded.state, decided_at = now()`;

export type WorkerSize = {
  /** Deliveries that one worker process runs at a time, where none runs yet. */
  readonly slots: number;
  /** Connections that one worker process opens at most. */
  readonly connections: number;
};

/** @returns false: it is not this process's turn */
export async function decide(db: Transactions, size: WorkerSize): Promise<boolean> {
  return db.transaction(async (tx) => {
    const [turn] = (await tx.executeSql<{ capacities: Capacities; now: number }>(takeTurnSql)).rows;
    if (!turn) return false;
    const earlier = await readStates(tx);
    const looks = await measureQueues(tx, size.slots);
    const connections = await measureConnections(tx, size.connections);
    const capacities = nextCapacities(turn.capacities, turn.now, connections);
    const advised = looks.map((look) => ({ look, ...advise(earlier.get(look.queue) ?? null, look) }));
    const sized = fit(
      advised.map(({ look, ...advice }) => ({ ...advice, workers: look.workers })),
      connections,
      capacities,
    );
    const facts = sized.map(({ queue, wanted, reasons, state: { load } }) => {
      const { workers, backlog, sending, slotsPerWorker, closed } = looks.find(
        (look) => look.queue === queue,
      )!;
      const { arrival, meanSeconds } = load;
      const rates = { arrivalPerSecond: arrival, meanSeconds, backlog, sending };
      return { workers, wanted, ...rates, slotsPerWorker, closed, targetDrainSeconds, reasons };
    });
    const column = <T>(of: (one: (typeof sized)[number]) => T): T[] => sized.map(of);
    await tx.executeSql(decideSql, [
      column(({ queue }) => queue),
      column(({ recommended }) => recommended),
      column(({ exact }) => exact),
      facts.map((fact) => JSON.stringify(fact)),
      column(({ state }) => JSON.stringify(state)),
      JSON.stringify(capacities),
    ]);
    return true;
  });
}

async function readStates(tx: Executor): Promise<Map<string, AdviceState>> {
  const { rows } = await tx.executeSql<{ queue: string; state: AdviceState }>(earlierSql);
  return new Map(rows.map(({ queue, state }) => [queue, state]));
}

export type QueueAdvice = {
  readonly queue: string;
  /** Processes that should work this queue. */
  readonly recommended: number;
  /** Those that did when it was decided. */
  readonly workers: number;
  /** Without the limit of Postgres's connections. */
  readonly wanted: number;
  readonly arrivalPerSecond: number;
  /** How long a message keeps a slot. */
  readonly meanSeconds: number;
  readonly backlog: number;
  readonly sending: number;
  readonly slotsPerWorker: number;
  readonly closed: boolean;
  readonly targetDrainSeconds: number;
  readonly reasons: readonly string[];
  readonly decidedAt: Date;
  /** By the database's clock. Old: no relay and no web process is alive. */
  readonly ageSeconds: number;
};

export const adviceSql = `
  select queue, recommended, facts, decided_at as "decidedAt", extract(epoch from now() - decided_at)::float8 as "ageSeconds"
    from waybill.autoscale order by queue`;

/** What was decided last, of every queue. */
export async function readAdvice(db: Executor): Promise<QueueAdvice[]> {
  type Row = QueueAdvice & { facts: Omit<QueueAdvice, 'queue' | 'recommended' | 'decidedAt' | 'ageSeconds'> };
  const { rows } = await db.executeSql<Row>(adviceSql);
  return rows.map(({ facts, ...row }) => ({ ...row, ...facts }));
}
