// How fast a backlog is worked off: committed no-op messages, one worker process of each contender (and one relay of ours).

import { startPostgres } from '../dev/postgres.ts';
import { alternate, median, summary, type Summary } from './rounds.ts';
import type { Contender } from './peers/contender.ts';
import { pgBossAlone } from './peers/pg-boss.ts';
import { waybill } from './peers/waybill.ts';
import pg from 'pg';

export type Drain = {
  readonly messages: number;
  /** Messages a second. */
  readonly perSecond: Readonly<Record<string, Summary>>;
  /** Median of the rounds' ratios of us to each peer. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly ratioToFastestPeer: number;
};

export async function drain(messages = 50_000, rounds = 5): Promise<Drain> {
  const server = await startPostgres({ persistent: false });
  const contenders: Contender[] = [];
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
      return messages / ((await contender.drain(messages)) / 1000);
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
    };
  } finally {
    for (const contender of contenders) await contender.end();
    await server.end();
  }
}
