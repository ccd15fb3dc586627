// Deploys: when a version began to run of which no other process was alive.

import type { Executor } from '../db/executor.ts';
import { isNotGone } from '../db/liveness.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import type { ProcessRow } from './heartbeat.ts';

export type Deploy = {
  readonly at: Moment;
  /** Of Waybill. */
  readonly version: string;
  /** Version of the application; null: not known. */
  readonly application: string | null;
};

/** Values: versions of Waybill and of the application. A version that runs, or began in the last ten minutes, is not new. */
export const noteDeploySql = `
  insert into waybill.deploys (version, application)
  select $1, $2
   where not exists (select from waybill.processes where version = $1 and coalesce(application, '') = $2 and ${isNotGone})
     and not exists (select from waybill.deploys where version = $1 and application = $2 and at > now() - interval '10 minutes')
  on conflict do nothing`;

/** Before the first heartbeat of a process. */
export async function noteDeploy(
  db: Executor,
  { version, application }: Pick<ProcessRow, 'version' | 'application'>,
): Promise<void> {
  await db.executeSql(noteDeploySql, [version, application ?? '']);
}

const most = 20;

/** Value: how many. */
export const deploysSql = `
  select ${momentText('at')} as at, version, nullif(application, '') as application from (
    select * from waybill.deploys order by at desc, version, application limit $1) d`;

/** The newest first, 20 at most. */
export async function listDeploys(db: Executor): Promise<Deploy[]> {
  type Row = Omit<Deploy, 'at'> & { readonly at: string };
  const { rows } = await db.executeSql<Row>(deploysSql, [most]);
  return rows.map((row) => ({ ...row, at: momentOf(row.at) }));
}
