// The decisions as rows: the process that has the turn decides for all queues, and all read them.

import type { Executor } from '../db/executor.ts';
import { secondsSince } from '../db/moment.ts';
import { advise, targetDrainSeconds, type AdviceState, type QueueLook } from './advice.ts';
import { fit, nextCapacities, type Capacities, type Connections } from './connections.ts';
import { connectionsSql, measureSql } from './measure.ts';

/**
 * Gives the turn to one process, at most once in nine seconds; the others do not wait. Only that process reads the input of the decision. Value:
 * slots of a worker, for queues that no worker serves yet.
 */
export const takeTurnSql = `
  with turn as (
    update waybill.autoscale_turn set at = now()
     where one and one in (select one from waybill.autoscale_turn where at <= now() - interval '9 seconds' for update skip locked)
    returning at, capacities)
  select at::text as turn, extract(epoch from now())::float8 as now, capacities,
         (select coalesce(json_agg(e), '[]') from (select queue, state from waybill.autoscale) e) as earlier,
         (select coalesce(json_agg(q), '[]') from (${measureSql}) q) as looks,
         (select row_to_json(c) from (${connectionsSql}) c) as connections
    from turn`;

/** Writes nothing if another process has had a turn since. Rows of queues that no longer exist go after a day. */
export const decideSql = `
  with turn as (update waybill.autoscale_turn set capacities = $6 where one and at = $7::timestamptz returning one),
  gone as (
    delete from waybill.autoscale
     where decided_at < now() - interval '1 day' and not queue = any($1::text[]) and exists (select from turn))
  insert into waybill.autoscale (queue, recommended, exact, facts, state)
  select n.* from unnest($1::text[], $2::int[], $3::float8[], $4::jsonb[], $5::jsonb[]) n cross join turn
  on conflict (queue) do update set recommended = excluded.recommended, exact = excluded.exact, facts = excluded.facts,
    state = excluded.state, decided_at = now()`;

export type WorkerSize = {
  /** Deliveries that one worker process runs at a time, where none runs yet. */
  readonly slots: number;
  /** Connections that one worker process opens at most. */
  readonly connections: number;
};

type Turn = {
  readonly turn: string;
  readonly now: number;
  readonly capacities: Capacities;
  readonly earlier: readonly { readonly queue: string; readonly state: AdviceState }[];
  readonly looks: readonly QueueLook[];
  readonly connections: Omit<Connections, 'perWorker'>;
};

/** @returns false: another process has the turn */
export async function decide(db: Executor, size: WorkerSize): Promise<boolean> {
  const [taken] = (await db.executeSql<Turn>(takeTurnSql, [size.slots])).rows;
  if (!taken) return false;
  const { turn, now, looks } = taken;
  const earlier = new Map(taken.earlier.map(({ queue, state }) => [queue, state]));
  const connections = { ...taken.connections, perWorker: size.connections };
  const capacities = nextCapacities(taken.capacities, now, connections);
  const own = new Map(
    looks.map((look) => [look.queue, advise(earlier.get(look.queue) ?? null, look).exact] as const),
  );
  const advised = looks.map((look) => {
    const others = look.sharedWith.reduce((sum, queue) => sum + (own.get(queue) ?? 0), 0);
    return { ...advise(earlier.get(look.queue) ?? null, look, others), workers: look.workers };
  });
  const sized = fit(advised, connections, capacities);
  const facts = sized.map(({ queue, wanted, reasons, state: { load } }) => {
    const { workers, backlog, sending, slotsPerWorker, closed } = looks.find((look) => look.queue === queue)!;
    const { arrival, meanSeconds } = load;
    const rates = { arrivalPerSecond: arrival, meanSeconds, backlog, sending };
    return { workers, wanted, ...rates, slotsPerWorker, closed, targetDrainSeconds, reasons };
  });
  const column = <T>(of: (one: (typeof sized)[number]) => T): T[] => sized.map(of);
  await db.executeSql(decideSql, [
    column(({ queue }) => queue),
    column(({ recommended }) => recommended),
    column(({ exact }) => exact),
    facts.map((fact) => JSON.stringify(fact)),
    column(({ state }) => JSON.stringify(state)),
    JSON.stringify(capacities),
    turn,
  ]);
  return true;
}

/** The workers, backlog and so on are those of the decision. */
export type QueueAdvice = Pick<
  QueueLook,
  'queue' | 'workers' | 'backlog' | 'sending' | 'slotsPerWorker' | 'closed'
> & {
  /** Processes that should serve this queue. */
  readonly recommended: number;
  /** The number before the limit of Postgres's connections. */
  readonly wanted: number;
  readonly arrivalPerSecond: number;
  /** How long a message occupies a slot. */
  readonly meanSeconds: number;
  readonly targetDrainSeconds: number;
  readonly reasons: readonly string[];
  readonly decidedAt: Date;
  /** By the database's clock. If it is high, no relay and no web process is alive. */
  readonly ageSeconds: number;
};

export const adviceSql = `
  select queue, recommended, facts, decided_at as "decidedAt", ${secondsSince('decided_at')} as "ageSeconds"
    from waybill.autoscale order by queue`;

/** The last decision for every queue. */
export async function readAdvice(db: Executor): Promise<QueueAdvice[]> {
  type Row = QueueAdvice & { facts: Omit<QueueAdvice, 'queue' | 'recommended' | 'decidedAt' | 'ageSeconds'> };
  const { rows } = await db.executeSql<Row>(adviceSql);
  return rows.map(({ facts, ...row }) => ({ ...row, ...facts }));
}
