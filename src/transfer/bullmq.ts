// BullMQ on Redis as a source. The map names a queue, or a queue and a job name with a slash between them. Jobs that wait, are prioritized or delayed are
// imported; the next job of a scheduler and the jobs of flows are not.

import { openBullmq } from './bullmq-client.ts';
import {
  baseOf,
  isImported,
  jobOf,
  queuesOf,
  readRows,
  rowDigest,
  waiting,
  type At,
  type Redis,
  type Row,
} from './bullmq-job.ts';
import { surveyBullmq } from './bullmq-survey.ts';
import type { Handling, Moved, Page, Source, SourceJob, Walk } from './source.ts';

/**
 * @param url of Redis
 * @param prefix of the keys of BullMQ, by default `bull`
 * @throws WaybillError `package_missing`, `source_unreachable`
 */
export async function bullmqSource(url: string, prefix = 'bull'): Promise<Source> {
  const client = await openBullmq(url, prefix);
  let names: Promise<readonly string[]> | undefined;
  // Read once: a new queue would move the places among held jobs, and each reading looks at all keys.
  const redis: Redis = { client, prefix, queues: () => (names ??= queuesOf({ client, prefix })) };
  return {
    name: 'bullmq',
    survey: () => surveyBullmq(redis),
    read: (walk) => pageOf(redis, walk),
    move: (walk, handling) => move(redis, walk, handling),
    resume: (after, limit, handling) => resume(redis, after, limit, handling),
    close: () => redis.client.close(),
  };
}

type Read = Page & { readonly rows: readonly Row[]; readonly place: At; readonly start: number };

/** The part of the walk that its place is in: a state of one queue. */
async function pageOf(redis: Redis, walk: Walk): Promise<Page & { readonly found?: Read }> {
  const places = placesOf(walk);
  const { at = 0, start = 0 } = (walk.after ?? {}) as { readonly at?: number; readonly start?: number };
  const place = places[at];
  if (place === undefined) return { jobs: [], next: undefined };
  const rows = await readRows(redis, place, start, walk.limit);
  const wanted = new Set(walk.queues.map(({ queue }) => queue));
  const its = rows.filter(isImported).map((row) => jobOf(row, place));
  const jobs = its.filter(({ queue }) => wanted.has(queue) || wanted.has(place.queue));
  const further = at + 1 < places.length ? { at: at + 1, start: 0 } : undefined;
  const next = rows.length === 0 ? further : { at, start: start + rows.length };
  return { jobs, next, found: { jobs, next, rows, place, start } };
}

function placesOf({ queues, failed }: Walk): At[] {
  const names = [...new Set(queues.map(({ within, queue }) => within ?? queue))];
  const states: readonly At['state'][] = failed ? ['failed'] : waiting;
  return names.flatMap((queue) => states.map((state) => ({ queue, state })));
}

async function move<F extends { readonly job: SourceJob }>(
  redis: Redis,
  walk: Walk,
  handling: Handling<F>,
): Promise<Moved> {
  const { next, found } = await pageOf(redis, walk);
  if (found === undefined) return { read: 0, left: 0, next };
  const left = await take(redis, found, handling);
  // The jobs that left stand no longer before those of the next page of the same state.
  const isSame = found.rows.length > 0;
  const further = next && isSame ? { ...next, start: Number(next['start']) - left } : next;
  return { read: found.rows.length, left, next: further };
}

async function take<F extends { readonly job: SourceJob }>(
  redis: Redis,
  { jobs, rows, place: { queue, state }, start }: Read,
  handling: Handling<F>,
): Promise<number> {
  const chosen = await handling.choose(jobs);
  if (chosen.length === 0) return 0;
  const digests = new Map(rows.map((row) => [row[0], rowDigest(row)]));
  const values = chosen.flatMap(({ job }) => [job.id, digests.get(job.id)!, JSON.stringify(job)]);
  const page = [baseOf(redis, queue), state, start, rows.length];
  const ids = await redis.client.run('waybillTake', [...page, ...values]);
  const isTaken = new Set(ids as string[]);
  const taken = chosen.filter(({ job }) => isTaken.has(job.id));
  await forget(redis, queue, await handling.record(taken, undefined));
  return taken.length;
}

async function forget(redis: Redis, queue: string, jobs: readonly SourceJob[]): Promise<void> {
  if (jobs.length === 0) return;
  await redis.client.run('waybillForget', [baseOf(redis, queue), ...jobs.map(({ id }) => id)]);
}

/** A place among the held jobs of all queues. */
type Held = { readonly queue: number; readonly cursor: string };

/** `read` is at least 1 until the last queue was visited. */
async function resume<F extends { readonly job: SourceJob }>(
  redis: Redis,
  after: string,
  limit: number,
  handling: Handling<F>,
): Promise<Moved & { readonly last: string }> {
  const { queue, cursor } = after === '' ? { queue: 0, cursor: '0' } : (JSON.parse(after) as Held);
  const names = await redis.queues();
  const name = names[queue];
  if (name === undefined) return { read: 0, left: 0, next: undefined, last: '' };
  const answer = await redis.client.run('waybillHeld', [baseOf(redis, name), cursor, limit]);
  const [further, found] = answer as [string, string[]];
  const jobs = found.filter((_, i) => i % 2 === 1).map((job) => JSON.parse(job) as SourceJob);
  const done = await handling.record(await handling.choose(jobs), undefined);
  await forget(redis, name, done);
  const last: Held = further === '0' ? { queue: queue + 1, cursor: '0' } : { queue, cursor: further };
  return {
    read: Math.max(jobs.length, 1),
    left: done.length,
    next: undefined,
    last: JSON.stringify(last),
  };
}
