// How fast a backlog is worked off: committed no-op messages, one worker process of each contender (and one relay of ours).

import { readFileSync } from 'node:fs';
import { startPostgres } from '../dev/postgres.ts';
import { alternate, median, summary, type Summary } from './rounds.ts';
import type { Contender } from './peers/contender.ts';
import { pgBossAlone } from './peers/pg-boss.ts';
import { waybill } from './peers/waybill.ts';
import pg from 'pg';
import { cpuMs } from './cpu.ts';

export type Drain = {
  readonly messages: number;
  /** Messages a second. */
  readonly perSecond: Readonly<Record<string, Summary>>;
  /** Median of the rounds' ratios of us to each peer. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly ratioToFastestPeer: number;
  readonly cpu: object;
};

export async function drain(messages = 50_000, rounds = 5): Promise<Drain> {
  const server = await startPostgres({ persistent: false });
  const postmaster = Number(readFileSync(`${server.dir}/postmaster.pid`, 'utf8').split('\n')[0]);
  const contenders: Contender[] = [];
  const cpu: Record<string, [number, number][]> = {};
  try {
    for (const [name, make] of Object.entries({ waybill, pgboss: pgBossAlone })) {
      const admin = new pg.Client({ connectionString: server.url() });
      await admin.connect();
      await admin.query(`create database bench_${name}`);
      await admin.end();
      contenders.push(await make(server.url(`bench_${name}`)));
    }
    const measured = await alternate(contenders, rounds, async (contender) => {
      await contender.fill(messages);
      const [a, b] = [cpuMs(contender.pids()), cpuMs([postmaster])];
      const ms = await contender.drain(messages);
      (cpu[contender.name] ??= []).push([
        ((cpuMs(contender.pids()) - a) * 1000) / messages,
        ((cpuMs([postmaster]) - b) * 1000) / messages,
      ]);
      return messages / (ms / 1000);
    });
    const [ours, ...peers] = contenders.map((one) => ({ name: one.name, rounds: measured.get(one)! }));
    const ratios = peers.map(({ name, rounds: its }) => [
      name,
      median(ours!.rounds.map((rate, i) => rate / its[i]!)),
    ]);
    const perSecond = [ours!, ...peers].map(({ name, rounds: its }) => [name, summary(its)]);
    return {
      messages,
      perSecond: Object.fromEntries(perSecond) as Drain['perSecond'],
      ratios: Object.fromEntries(ratios) as Drain['ratios'],
      ratioToFastestPeer: Math.min(...ratios.map(([, ratio]) => ratio as number)),
      cpu,
    };
  } finally {
    for (const contender of contenders) await contender.end();
    await server.end();
  }
}
