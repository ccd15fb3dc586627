// What the queues of BullMQ have, by queue and job name. The names are in the hashes of the jobs, so each job that waits or has failed is looked at.

import { baseOf, queuesOf, waiting, type At, type Redis } from './bullmq-job.ts';
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
    const [inFlight, children, its, version] = counts as [number, number, number, string];
    if (version !== '') versions.add(version);
    held += its;
    queues.push(...(await namedIn(redis, queue)));
    if (inFlight + children > 0)
      queues.push({ queue, within: queue, pending: 0, inFlows: children, inFlight, failed: 0 });
    schedules.push(...(await schedulesOf(redis, queue)));
  }
  checkVersions(versions);
  return { version: [...versions].join(', ') || 'unknown', queues, schedules, held };
}

type Names = readonly [rows: readonly [name: string, imported: number, inFlows: number][], read: number];

async function namedIn(redis: Redis, queue: string): Promise<SourceQueue[]> {
  const byName = new Map<string, { pending: number; failed: number; inFlows: number }>();
  for (const state of [...waiting, 'failed'] satisfies At['state'][]) {
    let read = pageSize;
    for (let start = 0; read === pageSize; start += pageSize) {
      const values = [baseOf(redis, queue), state, start, pageSize];
      const [rows, its] = (await redis.client.run('waybillNames', values)) as Names;
      for (const [name, imported, inFlows] of rows) {
        const count = byName.get(name) ?? { pending: 0, failed: 0, inFlows: 0 };
        count[state === 'failed' ? 'failed' : 'pending'] += imported;
        count.inFlows += inFlows;
        byName.set(name, count);
      }
      read = its;
    }
  }
  return [...byName]
    .filter(([, { pending, failed, inFlows }]) => pending + failed + inFlows > 0)
    .map(([name, count]) => ({ queue: `${queue}/${name}`, within: queue, ...count, inFlight: 0 }));
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
