// The manifest: an application's cron jobs and the hash of their content. `release` stages it, whatever is deployed. Then it waits for a process
// that has loaded the same one (activation.ts).

import { createHash } from 'node:crypto';
import type { Executor } from '../db/executor.ts';
import { momentText, withMoments, type Moment } from '../db/moment.ts';
import type { App } from '../define/app.ts';
import type { CronJob } from '../define/cron-job.ts';

export type Manifest = {
  /** Two manifests have the same hash if and only if their jobs do the same. */
  readonly hash: string;
  /** By name. */
  readonly jobs: readonly CronJob[];
};

export function manifestOf({ cron }: Pick<App, 'cron'>): Manifest {
  const jobs = cron.jobs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const hash = createHash('sha256').update(canonical(jobs)).digest('hex').slice(0, 16);
  return { hash, jobs };
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
}

/** Staging an older manifest again makes it the newest, so a rollback brings it back. */
export const stageSql = `
  insert into waybill.cron_manifests as m (hash, jobs) values ($1, $2)
  on conflict (hash) do update set staged_at = now(), status = case when m.status = 'active' then 'active' else 'staged' end
  returning status`;

export type ManifestStatus = 'staged' | 'ready' | 'active' | 'retired';

export async function stageManifest(db: Executor, { hash, jobs }: Manifest): Promise<ManifestStatus> {
  const { rows } = await db.executeSql<{ status: ManifestStatus }>(stageSql, [hash, JSON.stringify(jobs)]);
  return rows[0]!.status;
}

export type ManifestView = {
  readonly version: string;
  readonly status: ManifestStatus;
  readonly jobs: number;
  readonly stagedAt: Moment;
  readonly readyAt: Moment | null;
  readonly activatedAt: Moment | null;
  readonly retiredAt: Moment | null;
};

/** Newest first. */
export async function listManifests(db: Executor): Promise<ManifestView[]> {
  const sql = `select hash as version, status, jsonb_array_length(jobs) as jobs, ${momentText('staged_at')} as "stagedAt",
      ${momentText('ready_at')} as "readyAt", ${momentText('activated_at')} as "activatedAt", ${momentText('retired_at')} as "retiredAt"
    from waybill.cron_manifests order by staged_at desc`;
  type Row = Pick<ManifestView, 'version' | 'status' | 'jobs'> & { stagedAt: string } & Record<
      'readyAt' | 'activatedAt' | 'retiredAt',
      string | null
    >;
  const { rows } = await db.executeSql<Row>(sql);
  return rows.map((row) => withMoments(row, ['stagedAt', 'readyAt', 'activatedAt', 'retiredAt']));
}
