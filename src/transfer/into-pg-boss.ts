// pg-boss as the receiver of an export, in the database of the messages: the transaction that cancels a message inserts its job. A message that an import
// brought from pg-boss becomes a job with its old id in its old queue.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import { asPgBoss, start, yearInSeconds, type Boss } from '../queue/instance.ts';
import type { Receiver, Taken } from './export.ts';
import { isSkipped, type ImportMap, type ImportRow } from './import-map.ts';
import type { Waiting } from './waiting-messages.ts';

export type IntoPgBoss = {
  readonly db: Database;
  readonly schema: string;
  /** The map of the import, read in the other direction; undefined: a queue is named after its message. */
  readonly map: ImportMap | undefined;
  readonly dryRun: boolean;
  /** Who exports, for the note of each message. */
  readonly by: string;
  /** Called with the name of a queue that pg-boss did not have. */
  readonly onQueue: (name: string) => void;
  readonly onError: (error: Error) => void;
};

export type PgBossReceiver = Receiver & { close(): Promise<void> };

/** A queue of pg-boss, and whether it keeps the order of a key. */
type Queue = { readonly name: string; readonly isStrict: boolean };

export async function pgBossReceiver(options: IntoPgBoss): Promise<PgBossReceiver> {
  const { db, schema, dryRun } = options;
  const boss = await startBoss(options);
  const queues = new Map<string, Promise<Queue>>();
  const queueOf = (name: string): Promise<Queue> => {
    const known = queues.get(name) ?? findQueue(boss, name, options);
    queues.set(name, known);
    return known;
  };
  return {
    async take(messages, tx) {
      const placed: { readonly message: Waiting; readonly queue: Queue }[] = [];
      const taken: Taken[] = [];
      for (const given of messages) {
        const { name, row } = targetOf(given, options.map);
        const message = { ...given, payload: renamedBack(given.payload, row) };
        const queue = name === undefined ? undefined : await queueOf(name);
        const stays = queue === undefined ? 'no_queue' : orderProblem(message, queue);
        if (queue === undefined || stays !== undefined)
          taken.push({ id: message.id, stays: stays ?? 'no_queue' });
        else placed.push({ message, queue });
      }
      for (const [{ name }, its] of Map.groupBy(placed, ({ queue }) => queue)) {
        const jobs = its.map(({ message, queue }) => ({ message, job: jobOf(message, queue) }));
        const ids = dryRun
          ? new Set(jobs.map(({ job }) => job.id))
          : await insert(boss, name, jobs, tx ?? db);
        for (const { message, job } of jobs)
          if (ids.has(job.id))
            taken.push({
              id: message.id,
              note: `to pg-boss: job ${job.id} of the queue ${name} in ${schema}, ${options.by}`,
            });
          else taken.push({ id: message.id, stays: 'refused_by_pg_boss' });
      }
      return taken;
    },
    close: () => boss.stop({ graceful: false, close: false }),
  };
}

/** @throws WaybillError `source_not_found` */
async function startBoss({ db, schema, onError }: IntoPgBoss): Promise<Boss> {
  const sql = `select to_regclass($1) is not null as there`;
  const { there } = (await db.executeSql<{ there: boolean }>(sql, [`"${schema.replaceAll('"', '""')}".job`]))
    .rows[0]!;
  if (!there)
    throw new WaybillError(
      'source_not_found',
      `the database has no tables of pg-boss in the schema ${schema}: name another one with --schema, or start your pg-boss once, which makes them`,
    );
  return start(db, 'postgres', false, onError, { schema });
}

type Target = { readonly name: string | undefined; readonly row?: ImportRow };

/** The queue in pg-boss: that of the import, else one named after the message. Undefined: a message of this kind is no job there. */
export function targetOf({ kind, name }: Pick<Waiting, 'kind' | 'name'>, map: ImportMap | undefined): Target {
  for (const [queue, row] of Object.entries(map?.queues ?? {}))
    if (!isSkipped(row) && row.kind === kind && (kind === 'email' || row.name === name))
      return { name: queue, row };
  return { name: map === undefined && (kind === 'job' || kind === 'event') ? name : undefined };
}

/** The payload with the names of its fields in the source. What the map did not pick is gone. */
function renamedBack(payload: unknown, row: ImportRow | undefined): unknown {
  if (row?.rename === undefined || typeof payload !== 'object' || payload === null || Array.isArray(payload))
    return payload;
  const old = new Map(Object.entries(row.rename).map(([from, to]) => [to, from]));
  return Object.fromEntries(Object.entries(payload).map(([name, value]) => [old.get(name) ?? name, value]));
}

/** @throws WaybillError `queue_taken` */
async function findQueue(boss: Boss, name: string, { dryRun, onQueue }: IntoPgBoss): Promise<Queue> {
  let found = await boss.getQueue(name);
  if (!found) {
    onQueue(name);
    if (dryRun) return { name, isStrict: false };
    await boss.createQueue(name);
    found = await boss.getQueue(name);
  }
  if (Number(found?.retentionSeconds) === yearInSeconds)
    throw new WaybillError(
      'queue_taken',
      `the queue ${name} of pg-boss is one of Waybill's own: give another name for its messages with --map`,
    );
  return { name, isStrict: found?.policy === 'key_strict_fifo' };
}

/** A queue of pg-boss either keeps the order of every job's key, or of none. */
function orderProblem({ orderKey }: Waiting, { isStrict }: Queue): string | undefined {
  if (orderKey !== null && !isStrict) return 'order_key';
  return orderKey === null && isStrict ? 'no_order_key' : undefined;
}

type Job = { readonly id: string; readonly [option: string]: unknown };

/** Of an import from pg-boss. */
const imported = /^import:pg-boss:.{1,200}:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

function jobOf(message: Waiting, { isStrict }: Queue): Job {
  const { id, payload, priority, availableAt, attempts, maxAttempts, deliveryKey, group, orderKey } = message;
  const old = imported.exec(deliveryKey ?? '')?.[1];
  const key = isStrict
    ? orderKey
    : old === undefined && deliveryKey?.startsWith('import:') !== true
      ? deliveryKey
      : null;
  return {
    // Jobs of one key are started in the order of their ids, where they were inserted together.
    id: old !== undefined && !isStrict ? old : id,
    data: payload,
    priority,
    startAfter: availableAt,
    retryLimit: Math.max(0, maxAttempts - attempts - 1),
    ...(key !== null && { singletonKey: key }),
    ...(group !== null && { group: { id: group } }),
  };
}

/** @returns the ids of the jobs that pg-boss has now */
async function insert(
  boss: Boss,
  queue: string,
  jobs: readonly { readonly job: Job }[],
  at: Executor,
): Promise<ReadonlySet<string>> {
  const options = { db: asPgBoss(at), returnId: true };
  const ids = await boss.insert(
    queue,
    jobs.map(({ job }) => job),
    options,
  );
  return new Set((ids ?? []).map(String));
}
