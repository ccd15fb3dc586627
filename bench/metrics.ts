// The metrics benchmark: relay and worker as deployed, in turns with the same processes without metrics, on one Postgres. Each drain has new
// processes: two that run the same code differ by more than metrics cost, as long as they live.

import { readFileSync } from 'node:fs';
import pg from 'pg';
import { startPostgres } from '../src/dev/postgres.ts';
import { cpuMs } from './cpu.ts';
import { alternate, summary } from './rounds.ts';
import { waybill, type Ours } from './waybill.ts';

const variants = [
  { name: 'on', preloads: [], counts: true },
  { name: 'off', preloads: ['./bench/without-metrics.ts'], counts: false },
] as const;

type Cost = { readonly processes: number; readonly postgres: number };

export async function metrics({ messages = 50_000, rounds = 6 }: { messages?: number; rounds?: number }) {
  const server = await startPostgres({ persistent: false });
  try {
    const admin = new pg.Client({ connectionString: server.url() });
    await admin.connect();
    for (const { name } of variants) await admin.query(`create database bench_${name}`);
    await admin.end();
    const postmaster = Number(readFileSync(`${server.dir}/postmaster.pid`, 'utf8').split('\n')[0]);
    const costs = variants.map((): Cost[] => []);
    const rates = await alternate([0, 1], rounds, async (i) => {
      const { name, preloads, counts } = variants[i]!;
      const ours = await waybill(server.url(`bench_${name}`), { preloads });
      try {
        await ours.fill(messages / 2);
        await ours.drain(messages / 2, true); // warm
        const { perSecond, ...cost } = await drained(ours, messages, postmaster);
        costs[i]!.push(cost);
        await check(ours, counts);
        return perSecond;
      } finally {
        await ours.end();
      }
    });
    const [on, off] = [rates.get(0)!, rates.get(1)!];
    return {
      messages,
      perSecond: { on: summary(on), off: summary(off) },
      /** How many times as fast a drain is without metrics, pair by pair. */
      offToOn: summary(off.map((rate, i) => rate / on[i]!)),
      /** Microseconds of processor time for each message. */
      processes: {
        on: summary(costs[0]!.map(its('processes'))),
        off: summary(costs[1]!.map(its('processes'))),
      },
      postgres: { on: summary(costs[0]!.map(its('postgres'))), off: summary(costs[1]!.map(its('postgres'))) },
    };
  } finally {
    await server.end();
  }
}

const its = (part: keyof Cost) => (cost: Cost) => cost[part];

async function drained(ours: Ours, messages: number, postmaster: number) {
  await ours.fill(messages);
  const before = [cpuMs(ours.pids()), cpuMs([postmaster])] as const;
  const ms = await ours.drain(messages, true);
  const each = (after: number, from: number): number => ((after - from) * 1_000) / messages;
  return {
    perSecond: messages / (ms / 1_000),
    processes: each(cpuMs(ours.pids()), before[0]),
    postgres: each(cpuMs([postmaster]), before[1]),
  };
}

/** Only one variant may write figures; otherwise it would be compared with itself. */
async function check({ db }: Ours, counts: boolean): Promise<void> {
  const { rows } = await db.executeSql<{ n: number }>('select count(*)::int as n from waybill.counters');
  const { n } = rows[0]!;
  if (n > 0 !== counts) throw new Error(`${n} figures in the database with metrics ${counts ? 'on' : 'off'}`);
}
