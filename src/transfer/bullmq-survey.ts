// What the queues of BullMQ have, by queue and job name. The names are in the hashes of the jobs, so each job that waits or has failed is looked at.

import { baseOf, waiting, type At, type Redis } from './bullmq-job.ts';
import type { SourceQueue, SourceSchedule, Survey } from './source.ts';

const pageSize = 1_000;

type Counts = readonly [
  inFlight: number,
  children: number,
  held: number,
  version: string,
  groups: number,
  grouped: number,
];

export async function surveyBullmq(redis: Redis): Promise<Survey> {
  const queues: SourceQueue[] = [];
  const schedules: SourceSchedule[] = [];
  const versions = new Set<string>();
  let held = 0;
  for (const queue of await redis.queues()) {
    const counts = (await redis.client.run('waybillCounts', [baseOf(redis, queue)])) as Counts;
    const [inFlight, children, its, version, groups, grouped] = counts;
    if (version !== '') versions.add(version.slice(0, 40));
    held += its;
    const unsupported = groups > 0 ? groupsText : versionText(version);
    const whole = { queue, within: queue, pending: grouped, inFlows: children, inFlight, failed: 0 };
    const found = await namedIn(redis, queue);
    if (inFlight + children + grouped > 0) found.push(whole);
    queues.push(...found.map((one) => (unsupported === undefined ? one : { ...one, unsupported })));
    schedules.push(...(await schedulesOf(redis, queue)));
  }
  return { version: [...versions].join(', ') || 'unknown', queues, schedules, held };
}

/** Their lists are of BullMQ Pro, whose package is not public. */
const groupsText =
  'it has groups of BullMQ Pro, which cannot be read: let its workers end its jobs, or leave the queue out with { "skip": "why" }';

/** BullMQ writes its version into each queue: `bullmq:6.7.0`. BullMQ Pro has a name and numbers of its own. */
function versionText(version: string): string | undefined {
  const major = Number(/^bullmq:(\d{1,3})\./.exec(version)?.[1] ?? 0);
  if (version === '' || major === 5 || major === 6) return undefined;
  return `${version.slice(0, 40)} wrote it, and bullmq 5 and 6 can be read: upgrade the application that adds its jobs, let its workers end them, or leave the queue out with { "skip": "why" }`;
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

type Schedule = readonly [key: string, pattern: string, every: string, timeZone: string];

async function schedulesOf(redis: Redis, queue: string): Promise<SourceSchedule[]> {
  const found = new Map<string, Schedule>();
  let cursor = '0';
  do {
    const values = [baseOf(redis, queue), cursor];
    const [next, rows] = (await redis.client.run('waybillSchedules', values)) as [string, Schedule[]];
    for (const row of rows) found.set(row[0], row);
    cursor = next;
  } while (cursor !== '0');
  return [...found.values()]
    .map((row) => scheduleOf(queue, row))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** BullMQ 4 keeps all of a schedule in its key, `name:id:end:time zone:pattern`, and an interval in place of the pattern. */
function scheduleOf(queue: string, [key, pattern, every, timeZone]: Schedule): SourceSchedule {
  if (pattern !== '' || every !== '')
    return {
      name: `${queue}/${key}`,
      schedule: pattern || everyText(every),
      timeZone: timeZone || null,
    };
  const [name = key, id = '', , zone = '', ...rest] = key.split(':');
  const its = rest.join(':');
  if (its === '') return { name: `${queue}/${key}`, schedule: 'unknown', timeZone: null };
  return {
    name: `${queue}/${id === '' ? name : `${name}:${id}`}`,
    schedule: /^\d{1,17}$/.test(its) ? everyText(its) : its,
    timeZone: zone || null,
  };
}

const everyText = (ms: string): string => `every ${ms} ms`;
