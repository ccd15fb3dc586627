// BullMQ on a Redis of its own as the subject. It cannot join the application's transaction, so a job is added after the commit, as its documentation
// has it: what is between the two is lost when the process or Redis fails. The faults leave Redis alone, except that nobody waits for it.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { project } from '../waybill.ts';
import type { Part, Subject } from '../subject.ts';
import { jobsOf, workersOf } from './peer.ts';

const names = ['email', 'job', 'listener'];
const parts: readonly Part[] = ['email', 'job', 'event-first', 'event-second'];
/** One attempt is the default. */
const tuned = { attempts: 100, backoff: { type: 'exponential', delay: 100 }, removeOnComplete: true };

/** The part of bullmq's Queue that is used: the project's type check does not have the package. */
type Queue = {
  add(name: string, data: unknown, options: object): Promise<unknown>;
  getJobCounts(...states: string[]): Promise<Record<string, number>>;
  getJobs(states: readonly string[]): Promise<readonly { readonly data: { readonly work: string } }[]>;
  close(): Promise<void>;
};
type Bullmq = { readonly Queue: new (name: string, options: object) => Queue };

/** Those of jobs that are not done. */
const states = ['waiting', 'active', 'delayed', 'prioritized'];

export function bullmq(isTuned: boolean): Subject {
  const store = createStore();
  return {
    name: isTuned ? 'bullmq, tuned' : 'bullmq',
    about: {
      version: '6.7.0',
      processes: 'worker ×4, Redis',
      settings: isTuned ? JSON.stringify(tuned) : 'defaults',
    },
    parts,
    placesOnce: true,
    prepare: store.open,
    processes: (where) =>
      workersOf('bullmq-worker.mjs', where, {
        TUNED: isTuned ? 'yes' : 'no',
        REDIS_PORT: String(store.port()),
      }),
    place: async () => undefined,
    async placeAfter(order) {
      const options = isTuned ? tuned : {};
      for (const { name, data } of jobsOf(order, parts))
        await store.queue(name).add(name, data, { jobId: data.work.replaceAll(':', '-'), ...options });
    },
    async waiting() {
      const all = await Promise.all(states.map(async (what) => ({ what, count: await store.count(what) })));
      return all.filter(({ count }) => count > 0);
    },
    inFlight: async () => undefined,
    held: async () => new Set(await store.works()),
    ending: async () => ({
      foundDead: [],
      columns: { 'jobs given up': await store.count('failed') },
      breaches: [],
    }),
    timeline: async () => ['Redis is not asked for single jobs'],
    end: store.close,
  };
}

/** A Redis of its own, and the queues in it. */
function createStore() {
  const queues = new Map<string, Queue>();
  let redis: TestRedis | undefined;
  return {
    port: () => redis!.port,
    queue: (name: string) => queues.get(name)!,
    async open(): Promise<void> {
      redis = await startRedis();
      const { Queue } = await fromBench();
      for (const name of names)
        queues.set(name, new Queue(name, { connection: { host: '127.0.0.1', port: redis.port } }));
    },
    async count(state: string): Promise<number> {
      const all = await Promise.all([...queues.values()].map((queue) => queue.getJobCounts(state)));
      return all.reduce((sum, one) => sum + (one[state] ?? 0), 0);
    },
    async works(): Promise<string[]> {
      const all = await Promise.all([...queues.values()].map((queue) => queue.getJobs(states)));
      return all.flat().map(({ data }) => data.work);
    },
    async close(): Promise<void> {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      await redis?.end();
    },
  };
}

async function fromBench(): Promise<Bullmq> {
  const file = createRequire(`${project}bench/package.json`).resolve('bullmq');
  return (await import(pathToFileURL(file).href)) as Bullmq;
}
