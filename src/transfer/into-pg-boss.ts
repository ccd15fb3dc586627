// pg-boss as the receiver of an export, in the database of the messages: the transaction that cancels a message inserts its job. A message that an import
// brought from pg-boss becomes a job with its old id in its old queue.

import { AssertionError } from 'node:assert';
import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import { asPgBoss, start, yearInSeconds, type Boss } from '../queue/instance.ts';
import type { Receiver, Stays, Taken } from './export.ts';
import { newId } from '../message/id.ts';
import { isRawNumber } from './exact-json.ts';
import { keyTag, originOf } from './import-key.ts';
import { isSkipped, type ImportMap, type ImportRow } from './import-map.ts';
import { testedSchema } from './pg-boss.ts';
import { quoted } from './postgres-source.ts';
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
type Queue = { readonly name: string; readonly isStrict: boolean; readonly isThere: boolean };

type Placed = { readonly message: Waiting; readonly queue: Queue };

export async function pgBossReceiver(options: IntoPgBoss): Promise<PgBossReceiver> {
  const { db, dryRun, onQueue } = options;
  const boss = await startBoss(options);
  const queues = new Map<string, Promise<Queue | undefined>>();
  const queueOf = (name: string): Promise<Queue | undefined> => {
    const known = queues.get(name) ?? findQueue(boss, name);
    queues.set(name, known);
    return known;
  };
  /** A queue is made when a message goes there, so that none is made for messages that stay. */
  const make = async (queue: Queue): Promise<void> => {
    if (queue.isThere) return;
    onQueue(queue.name);
    if (!dryRun) await boss.createQueue(queue.name);
    queues.set(queue.name, Promise.resolve({ ...queue, isThere: true }));
  };
  return {
    async take(messages, tx) {
      const placed: Placed[] = [];
      const taken: Taken[] = [];
      for (const given of messages) {
        const one = await placeOf(given, options.map, queueOf);
        if ('stays' in one) taken.push(one);
        else placed.push(one);
      }
      for (const its of Map.groupBy(placed, ({ queue }) => queue.name).values()) {
        await make(its[0]!.queue);
        taken.push(...(await jobsMade(its, boss, tx ?? db, options)));
      }
      return taken;
    },
    close: () => boss.stop({ graceful: false, close: false }),
  };
}

async function placeOf(
  given: Waiting,
  map: ImportMap | undefined,
  queueOf: (name: string) => Promise<Queue | undefined>,
): Promise<Placed | Stays> {
  const { name, row } = targetOf(given, map);
  if (name === undefined) return { id: given.id, stays: 'no_queue' };
  const queue = await queueOf(name);
  if (queue === undefined) return { id: given.id, stays: 'queue_name' };
  const stays = orderProblem(given, queue);
  if (stays !== undefined) return { id: given.id, stays };
  const back = renamedBack(given.payload, row);
  return 'stays' in back ? { id: given.id, ...back } : { message: { ...given, ...back }, queue };
}

/** Makes jobs of messages that go to one queue. */
async function jobsMade(
  placed: readonly Placed[],
  boss: Boss,
  at: Executor,
  { schema, dryRun, by }: IntoPgBoss,
): Promise<Taken[]> {
  const jobs = placed.map(({ message, queue }) => ({ message, job: jobOf(message, queue) }));
  const { name } = placed[0]!.queue;
  const ids = dryRun ? new Set(jobs.map(({ job }) => job.id)) : await insert(boss, name, jobs, at);
  return jobs.map(({ message: { id }, job }) =>
    ids.has(job.id)
      ? { id, note: `to pg-boss: job ${job.id} of the queue ${name} in ${schema}, ${by}` }
      : { id, stays: 'refused_by_pg_boss' },
  );
}

/** @throws WaybillError `source_not_found`, `source_unsupported` */
async function startBoss({ db, schema, onError }: IntoPgBoss): Promise<Boss> {
  const sql = `select to_regclass($1) is not null as there`;
  const { there } = (await db.executeSql<{ there: boolean }>(sql, [`${quoted(schema)}.job`])).rows[0]!;
  if (!there)
    throw new WaybillError(
      'source_not_found',
      `the database has no tables of pg-boss in the schema ${schema}: name another one with --schema, or start your pg-boss once, which makes them`,
    );
  await checkVersion(db, schema);
  const isFolded = /^[a-z_][a-z0-9_]*$/.test(schema);
  return start(db, 'postgres', false, onError, { schema: isFolded ? schema : `"${schema}"` });
}

/** @throws WaybillError `source_unsupported` */
async function checkVersion(db: Executor, schema: string): Promise<void> {
  const sql = `select version from ${quoted(schema)}.version`;
  const version = (await db.executeSql<{ version: number }>(sql)).rows[0]?.version ?? 0;
  if (version === testedSchema) return;
  const upgrade = version < testedSchema ? 'upgrade your pg-boss to 12.35, or ' : '';
  throw new WaybillError(
    'source_unsupported',
    `an export makes jobs in schema ${testedSchema} of pg-boss, and that in ${schema} is ${version}: ${upgrade}export lines of JSON with --format ndjson (docs/importing.md)`,
  );
}

type Target = { readonly name: string | undefined; readonly row?: ImportRow };

type Named = Pick<Waiting, 'kind' | 'name' | 'deliveryKey' | 'tags'>;

/**
 * The queue in pg-boss: that of the import, else one named after the message. Undefined: a message of this kind is no job there.
 * @throws WaybillError `import_map_ambiguous`
 */
export function targetOf(message: Named, map: ImportMap | undefined): Target {
  const { kind, name } = message;
  if (map === undefined) return { name: kind === 'job' || kind === 'event' ? name : undefined };
  const fitting = Object.entries(map.queues).flatMap(([queue, row]) =>
    !isSkipped(row) && row.kind === kind && (kind === 'email' || row.name === name)
      ? [{ name: queue, row }]
      : [],
  );
  const from = originOf(message)?.queue;
  const own = fitting.find((one) => one.name === from);
  if (own === undefined && fitting.length > 1)
    throw new WaybillError(
      'import_map_ambiguous',
      `the map has several rows for ${kind === 'email' ? 'emails' : `the ${kind} ${name}`}, and a message does not say which queue it came from: ${fitting.map((one) => one.name).join(', ')}. Keep one of the rows; nothing was changed`,
    );
  return own ?? fitting[0] ?? { name: undefined };
}

/** Whether the target of a message may be open: two rows are of the same kind and name. */
export function hasTwins({ queues }: ImportMap): boolean {
  const names = Object.values(queues).flatMap((row) =>
    isSkipped(row) ? [] : [row.kind === 'email' ? row.kind : `${row.kind} ${row.name}`],
  );
  return new Set(names).size < names.length;
}

/**
 * The payload with the names of its fields in the source. What the map did not pick is gone. It stays where two of its fields would have one name there,
 * or two names of the source became that of one field.
 */
export function renamedBack(
  payload: unknown,
  row: ImportRow | undefined,
): { readonly payload: unknown } | { readonly stays: 'rename_taken' } {
  if (row?.rename === undefined || typeof payload !== 'object' || payload === null || Array.isArray(payload))
    return { payload };
  if (isRawNumber(payload)) return { payload };
  const old = Map.groupBy(Object.entries(row.rename), ([, to]) => to);
  const names = Object.keys(payload).map((name) => old.get(name)?.map(([from]) => from) ?? [name]);
  const isClear = names.every(({ length }) => length === 1) && new Set(names.flat()).size === names.length;
  if (!isClear) return { stays: 'rename_taken' };
  return { payload: Object.fromEntries(Object.values(payload).map((value, i) => [names[i]![0]!, value])) };
}

/**
 * Undefined: pg-boss does not accept the name.
 * @throws WaybillError `queue_taken`
 */
async function findQueue(boss: Boss, name: string): Promise<Queue | undefined> {
  let found: Awaited<ReturnType<Boss['getQueue']>>;
  try {
    found = await boss.getQueue(name);
  } catch (error) {
    if (error instanceof AssertionError) return undefined;
    throw error;
  }
  if (Number(found?.retentionSeconds) === yearInSeconds)
    throw new WaybillError(
      'queue_taken',
      `the queue ${name} of pg-boss is one of Waybill's own: give another name for its messages with --map`,
    );
  return { name, isStrict: found?.policy === 'key_strict_fifo', isThere: Boolean(found) };
}

/** A queue of pg-boss either keeps the order of every job's key, or of none. */
function orderProblem({ orderKey }: Waiting, { isStrict }: Queue): string | undefined {
  if (orderKey !== null && !isStrict) return 'order_key';
  return orderKey === null && isStrict ? 'no_order_key' : undefined;
}

type Job = { readonly id: string; readonly [option: string]: unknown };

/** The singletonKey: the delivery key, or that of the job, which a tag has where the import made the delivery key. */
function keyOf({ deliveryKey, tags }: Waiting): string | undefined {
  if (deliveryKey !== null && !deliveryKey.startsWith('import:')) return deliveryKey;
  return tags.find((tag) => tag.startsWith(keyTag))?.slice(keyTag.length);
}

function jobOf(message: Waiting, { isStrict }: Queue): Job {
  const { id, payload, priority, availableAt, attempts, maxAttempts, group, orderKey } = message;
  const key = isStrict ? orderKey! : keyOf(message);
  return {
    // Jobs of one key that are inserted together start in the order of their ids. Those of the messages may have another order.
    id: isStrict ? newId() : (originOf(message)?.id ?? id),
    data: payload,
    priority,
    startAfter: availableAt,
    retryLimit: Math.max(0, maxAttempts - attempts - 1),
    ...(key !== undefined && { singletonKey: key }),
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
