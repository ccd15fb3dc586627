// A peer as a contender: a worker process and, for latency, a second one that adds. The worker process stays for all rounds, as ours do: one
// that has just been started takes half as long again. Nobody works before it is told to.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startChild, type Child } from './child.ts';
import type { Contender } from './contender.ts';

export type PeerOptions = {
  readonly name: string;
  readonly url: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Statements that empty it. */
  readonly clear: readonly string[];
  readonly atMost?: number | undefined;
};

/** Messages before those whose latency is measured: a new process has not loaded all of itself when it begins to work. */
const warmUp = 20;

/** Nobody waits longer for a peer. */
const patienceMs = 300_000;

export function peer({ name, url, env = {}, clear, atMost }: PeerOptions): Contender {
  let worker: Child | undefined;
  async function start(): Promise<Child> {
    const child = startChild([`bench/peers/${name}.mjs`], {
      DATABASE_URL: url,
      MSGPACKR_NATIVE_ACCELERATION_DISABLED: 'true',
      ...env,
    });
    await child.ready();
    return child;
  }
  const working = async (): Promise<Child> => (worker ??= await start());
  async function inTime<T>(work: Promise<T>, what: string): Promise<T> {
    const done = new AbortController();
    const late = sleep(patienceMs, undefined, { signal: done.signal }).then(() => {
      throw new Error(`${name} did not ${what} within ${patienceMs / 1_000} s`);
    });
    return Promise.race([work, late]).finally(() => done.abort());
  }
  async function settle(child: Child, messages: number, all: boolean): Promise<void> {
    await child.ask('work');
    await child.ask('handled', messages);
    if (all) await child.ask('settled');
  }
  return {
    name,
    atMost,
    fill: async (messages) => void (await (await working()).ask('fill', messages)),
    fillLater: async (messages) => void (await (await working()).ask('fillLater', messages)),
    async drain(messages, all) {
      const child = await working();
      const began = performance.now();
      await inTime(settle(child, messages, all), `settle ${messages} messages`);
      const ms = performance.now() - began;
      await inTime(child.ask('rest'), 'rest');
      return ms;
    },
    async latency(messages) {
      const [child, adding] = [await working(), await start()];
      const added: number[] = [];
      try {
        await inTime(child.ask('work'), 'begin');
        for (let i = -warmUp; i < messages; i++) {
          const at = (await inTime(adding.ask('add', i), 'add a message')) as number;
          if (i >= 0) added.push(at);
          if (i === -1) await inTime(child.ask('handled', warmUp), 'handle what warms it up');
          await sleep(20 + ((i + warmUp) % 7)); // the pace of an idle fleet
        }
        await inTime(child.ask('handled', warmUp + messages), `handle ${messages} messages`);
      } finally {
        await adding.end();
      }
      const began = new Map((await child.ask('began')) as [number, number][]);
      await inTime(child.ask('rest'), 'rest');
      return added.map((at, i) => began.get(i)! - at);
    },
    async clear() {
      if (clear.length === 0) return;
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      for (const sql of clear) await client.query(sql);
      await client.end();
    },
    pids: () => (worker ? [worker.pid] : []),
    end: async () => worker?.end(),
  };
}
