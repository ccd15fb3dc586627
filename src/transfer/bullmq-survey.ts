// What the queues of BullMQ have, by queue and job name. The names are in the hashes of the jobs, so each job that waits is read.

import {
  baseOf,
  isImported,
  isOfFlow,
  nameOf,
  queuesOf,
  readRows,
  waiting,
  type Redis,
  type Row,
} from './bullmq-job.ts';
import { unsupported } from './postgres-source.ts';
import type { SourceQueue, SourceSchedule, Survey } from './source.ts';

const pageSize = 1_000;

export async function surveyBullmq(redis: Redis): Promise<Survey> {
  const queues: SourceQueue[] = [];
  const schedules: SourceSchedule[] = [];
  const versions = new Set<string>();
  let held = 0;
  for (const queue of await queuesOf(redis)) {
    const counts = await redis.client.run('waybillCounts', [baseOf(redis, queue)]);
    const [inFlight, failed, children, its, version] = counts as [number, number, number, number, string];
    if (version !== '') versions.add(version);
    held += its;
    queues.push(...(await waitingIn(redis, queue)));
    if (inFlight + failed + children > 0)
      queues.push({ queue, within: queue, pending: 0, inFlows: children, inFlight, failed });
    schedules.push(...(await schedulesOf(redis, queue)));
  }
  checkVersions(versions);
  return { version: [...versions].join(', ') || 'unknown', queues, schedules, held };
}

async function waitingIn(redis: Redis, queue: string): Promise<SourceQueue[]> {
  const byName = new Map<string, { pending: number; inFlows: number }>();
  for (const state of waiting) {
    let rows: Row[] = [];
    for (let start = 0; start === 0 || rows.length === pageSize; start += pageSize) {
      rows = await readRows(redis, { queue, state }, start, pageSize);
      for (const row of rows) {
        const count = byName.get(nameOf(row)) ?? { pending: 0, inFlows: 0 };
        if (isOfFlow(row)) count.inFlows += 1;
        else if (isImported(row)) count.pending += 1;
        byName.set(nameOf(row), count);
      }
    }
  }
  return [...byName]
    .filter(([, { pending, inFlows }]) => pending + inFlows > 0)
    .map(([name, count]) => ({ queue: `${queue}/${name}`, within: queue, ...count, inFlight: 0, failed: 0 }));
}

async function schedulesOf({ client }: Redis, queue: string): Promise<SourceSchedule[]> {
  return (await client.schedulers(queue)).map(({ key, pattern, every, tz }) => ({
    name: `${queue}/${key}`,
    schedule: pattern ?? `every ${every} ms`,
    timeZone: tz ?? null,
  }));
}

/** BullMQ writes its version into each queue: `bullmq:6.7.0`. */
function checkVersions(versions: ReadonlySet<string>): void {
  for (const version of versions) {
    const major = Number(/^bullmq(?:-pro)?:(\d{1,3})\./.exec(version)?.[1] ?? 0);
    if (major < 5 || major > 6)
      throw unsupported('bullmq', `a queue was written by ${version.slice(0, 40)}, and 5 and 6 can be read`);
  }
}
