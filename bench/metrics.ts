// What metrics cost a drain: relay and worker as deployed beside the same without metrics, on one Postgres, in turns.

import { readFileSync } from 'node:fs';
import pg from 'pg';
import { startPostgres } from '../dev/postgres.ts';
import { cpuMs } from './cpu.ts';
import { alternate, summary } from './rounds.ts';
import { waybill, type Ours } from './waybill.ts';

type Used = { readonly processes: number; readonly postgres: number };

export async function metrics({ messages = 50_000, rounds = 6 }: { messages?: number; rounds?: number }) {
  const server = await startPostgres({ persistent: false });
  const postmaster = Number(readFileSync(`${server.dir}/postmaster.pid`, 'utf8').split('\n')[0]);
  const contenders: Ours[] = [];
  const used = new Map<Ours, Used[]>();
  async function drain(one: Ours): Promise<number> {
    await one.fill(messages);
    const before = [cpuMs(one.pids()), cpuMs([postmaster])] as const;
    const ms = await one.drain(messages, true);
    const each = (after: number, from: number): number => ((after - from) * 1_000) / messages;
    const processes = each(cpuMs(one.pids()), before[0]);
    used.set(one, [...(used.get(one) ?? []), { processes, postgres: each(cpuMs([postmaster]), before[1]) }]);
    return messages / (ms / 1_000);
  }
  try {
    const on = await begin('on', []);
    const off = await begin('off', ['./bench/without-metrics.ts']);
    await alternate(contenders, 1, drain); // warm
    used.clear();
    const rates = await alternate(contenders, rounds, drain);
    await check(on, off);
    return {
      messages,
      perSecond: { on: summary(rates.get(on)!), off: summary(rates.get(off)!) },
      /** How many times as fast it is without them, pair by pair. */
      offToOn: summary(rates.get(off)!.map((rate, i) => rate / rates.get(on)![i]!)),
      /** Microseconds of processor time for each message. */
      cpu: { on: middle(used.get(on)!), off: middle(used.get(off)!) },
    };
  } finally {
    for (const one of contenders) await one.end();
    await server.end();
  }

  async function begin(name: string, preloads: readonly string[]): Promise<Ours> {
    const admin = new pg.Client({ connectionString: server.url() });
    await admin.connect();
    await admin.query(`create database bench_${name}`);
    await admin.end();
    const one = await waybill(server.url(`bench_${name}`), ['relay', 'jobs'], preloads);
    contenders.push(one);
    return one;
  }
}

function middle(rounds: readonly Used[]) {
  return {
    processes: summary(rounds.map((one) => one.processes)),
    postgres: summary(rounds.map((one) => one.postgres)),
  };
}

/** One has figures in its database, the other none: a comparison of a thing with itself would please everybody. */
async function check(on: Ours, off: Ours): Promise<void> {
  const sql = 'select count(*)::int as n from waybill.counters';
  for (const [one, counts] of [
    [on, true],
    [off, false],
  ] as const) {
    const { n } = (await one.db.executeSql<{ n: number }>(sql)).rows[0]!;
    if (n > 0 !== counts)
      throw new Error(`${n} figures in the database where metrics are ${counts ? 'on' : 'off'}`);
  }
}
