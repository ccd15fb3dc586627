// A real Prometheus, of Debian's package, that scrapes a fleet of the test and evaluates the project's rules.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/dev/free-port.ts';
import { prometheusPath } from './promtool.ts';
import { until } from './wait.ts';
import { tied } from './tied.ts';

export type Sample = { readonly metric: Readonly<Record<string, string>>; readonly value: [number, string] };

export type Prometheus = {
  /** An instant query. @throws with Prometheus's words when it is none */
  query(expr: string): Promise<Sample[]>;
  /** Any path of its HTTP API. */
  ask<T>(path: string): Promise<T>;
  end(): Promise<void>;
};

const rules = fileURLToPath(new URL('../../prometheus/', import.meta.url));

/** @param target host:port of a web process; it is scraped every second as the job `waybill` */
export async function startPrometheus(target: string): Promise<Prometheus> {
  const dir = mkdtempSync(join(tmpdir(), 'prometheus-'));
  const address = `127.0.0.1:${await freePort()}`;
  writeFileSync(
    join(dir, 'prometheus.yml'),
    `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${rules}recording.yml, ${rules}alerts.yml]
scrape_configs: [{ job_name: waybill, static_configs: [{ targets: ['${target}'] }] }]
`,
  );
  const args = [
    `--config.file=${join(dir, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(dir, 'data')}`,
    `--web.listen-address=${address}`,
    '--log.level=error',
  ];
  const child = tied(spawn(prometheusPath!, args, { stdio: ['ignore', 'ignore', 'inherit'] }));
  const ended = new Promise((resolve) => child.once('exit', resolve));

  async function ask<T>(path: string): Promise<T> {
    const response = await fetch(`http://${address}${path}`, { signal: AbortSignal.timeout(10_000) });
    const answer = (await response.json()) as { status: string; error?: string; data: T };
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`);
    return answer.data;
  }

  await until(() => ask('/api/v1/status/buildinfo'), { what: 'Prometheus' });
  return {
    ask,
    async query(expr) {
      return (await ask<{ result: Sample[] }>(`/api/v1/query?query=${encodeURIComponent(expr)}`)).result;
    },
    async end() {
      child.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true });
    },
  };
}
