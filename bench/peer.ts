// A peer as a contender: a worker process, or as many as ours in the fleet, and a second process that adds messages for latency. Workers stay for
// all rounds, as ours do: a process that was just started takes half as long again. None works before it is requested.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startChild, type Child } from './child.ts';
import { receiptTo } from './app.ts';
import { fleet, handlersOf, rowsOf, steps, type Contender, type Step, type Work } from './contender.ts';

export type PeerOptions = {
  readonly name: string;
  readonly url: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Statements that empty it. */
  readonly clear: readonly string[];
  readonly atMost?: number | undefined;
  readonly work: Work;
};

/** Messages before the measured ones, because a new process loads parts of itself only when it begins to work. */
const warmUp = 20;

/** The limit for each request to a peer. */
const timeoutMs = 300_000;

/** Variables that describe the work to its processes (bench/peers/work.mjs). */
const envOf = (work: Work): Readonly<Record<string, string>> => ({
  WORK: work,
  EMAIL: JSON.stringify(receiptTo('customer')),
  SLOTS: String(fleet.slots),
  WAIT_MS: String(fleet.waitMs),
});

export function peer({ name, url, env = {}, clear, atMost, work }: PeerOptions): Contender {
  const workers: Child[] = [];
  async function start(): Promise<Child> {
    const child = startChild([`bench/peers/${name}.mjs`], {
      DATABASE_URL: url,
      MSGPACKR_NATIVE_ACCELERATION_DISABLED: 'true',
      ...envOf(work),
      ...env,
    });
    await child.ready();
    return child;
  }
  async function working(): Promise<Child> {
    while (workers.length < (work === 'fleet' ? fleet.processes : 1)) workers.push(await start());
    return workers[0]!;
  }
  async function inTime<T>(task: Promise<T>, what: string): Promise<T> {
    const done = new AbortController();
    const late = sleep(timeoutMs, undefined, { signal: done.signal }).then(() => {
      throw new Error(`${name} did not ${what} within ${timeoutMs / 1_000} s`);
    });
    return Promise.race([task, late]).finally(() => done.abort());
  }
  async function settle(child: Child, messages: number, all: boolean): Promise<void> {
    await child.ask('work');
    await child.ask('handled', messages * handlersOf(work));
    if (all) await child.ask('settled');
  }
  /**
   * Its processes work all the time, so the jobs are recorded here. The clock begins when their commit is sent; ours begins when the queue is
   * resumed.
   */
  async function drainFleet(messages: number): Promise<number> {
    const begun = workers.length > 0;
    const child = await working();
    if (!begun) for (const one of workers) await one.ask('work');
    const from = (await child.ask('release', messages)) as number;
    return ((await inTime(child.ask('settled'), `settle ${messages} messages`)) as number) - from;
  }
  async function query<Row extends pg.QueryResultRow>(...statements: readonly string[]): Promise<Row[]> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      let rows: Row[] = [];
      for (const sql of statements) ({ rows } = await client.query<Row>(sql));
      return rows;
    } finally {
      await client.end();
    }
  }
  /** Checks that its handlers have done their work. */
  async function check(messages: number): Promise<void> {
    const wanted = rowsOf(work) * messages;
    const written = (await query<{ n: number }>('select count(*)::int as n from written'))[0]!.n;
    if (written !== wanted) throw new Error(`handlers wrote ${written} rows instead of ${wanted}`);
  }
  /** Commits one application's transaction after the other, on an idle fleet. Returns the times from each commit to a handler's start, by key. */
  async function paced(messages: number, each: number) {
    const [child, adding] = [await working(), await start()];
    const added: number[] = [];
    try {
      await inTime(child.ask('work'), 'begin');
      for (let i = -warmUp; i < messages; i++) {
        const at = (await inTime(adding.ask('add', i), 'add a message')) as number;
        if (i >= 0) added.push(at);
        if (i === -1 || each > 1) {
          const begun = each * (i + 1 + warmUp);
          await inTime(child.ask('handled', begun), `handle ${begun} messages`);
        }
        await sleep(20 + ((i + warmUp) % 7)); // the pace of an idle fleet
      }
      const whole = each * (warmUp + messages);
      await inTime(child.ask('handled', whole), `handle ${whole} messages`);
    } finally {
      await adding.end();
    }
    const began = new Map((await child.ask('began')) as [number | string, number][]);
    await inTime(child.ask('rest'), 'rest');
    const since = (key: (i: number) => number | string): number[] =>
      added.map((at, i) => {
        const start = began.get(key(i));
        if (start === undefined) throw new Error(`${key(i)} did not begin`);
        return start - at;
      });
    return since;
  }
  return {
    name,
    atMost,
    async fill(messages) {
      if (work !== 'fleet') await (await working()).ask('fill', messages);
    },
    fillLater: async (messages) => void (await (await working()).ask('fillLater', messages)),
    async drain(messages, all) {
      if (work === 'fleet') return drainFleet(messages);
      const child = await working();
      const began = performance.now();
      await inTime(settle(child, messages, all), `settle ${messages} messages`);
      const ms = performance.now() - began;
      await inTime(child.ask('rest'), 'rest');
      if (work !== 'noop') await check(messages);
      return ms;
    },
    latency: async (messages) => (await paced(messages, 1))((i) => i),
    async action(actions) {
      const since = await paced(actions, steps.length);
      return Object.fromEntries(steps.map((step) => [step, since((i) => `${step} ${i}`)])) as Record<
        Step,
        number[]
      >;
    },
    async clear() {
      if (clear.length > 0) await query(...clear, ...(work === 'noop' ? [] : ['truncate written']));
    },
    pids: () => workers.map(({ pid }) => pid),
    async end() {
      await Promise.all(workers.map((child) => child.end()));
    },
  };
}
