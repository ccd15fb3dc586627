// `waybill cron list|runs|preview`: shows the scheduled jobs, their runs, and what a catch-up would do.

import type { Command } from 'commander';
import { listRuns, parseRunFilter, type RunView } from '../../cron/history.ts';
import { readCron, type CronView } from '../../cron/overview.ts';
import { previewCron, readSpan, type Preview } from '../../cron/preview.ts';
import { runStatuses } from '../../cron/runs.ts';
import { createZones } from '../../cron/zones.ts';
import { durationText } from '../../duration.ts';
import { textOfMoment } from '../../db/moment.ts';
import { collect, single } from '../options.ts';
import { counted, print, say, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type RunsOptions = Output & {
  readonly name?: readonly string[];
  readonly status?: readonly string[];
  readonly limit?: string;
  readonly cursor?: string;
};

type PreviewOptions = Output & { readonly from?: string; readonly to?: string };

export function addCronLook(cron: Command): void {
  cron
    .command('list')
    .description('the jobs that are scheduled, with their next ticks and last runs')
    .action(async (options: Output) =>
      print(await withDatabase(({ db }) => readCron(db, createZones())), options, cronLines),
    );
  cron
    .command('runs')
    .description('runs, newest first')
    .option('--name <job>', 'name of a job (may repeat)', collect)
    .option('--status <status>', `${runStatuses.join(', ')} (may repeat)`, collect)
    .option('--limit <count>', 'runs at most, 1 to 500 (default: 50)', single)
    .option('--cursor <cursor>', 'where the page before ended', single)
    .action(runs);
  cron
    .command('preview')
    .description('which ticks a catch-up would run, and which it would skip')
    .argument('<name>', 'name of a job')
    .option(
      '--from <time>',
      'as if ticks were dealt with up to here (default: where the scheduler is)',
      single,
    )
    .option('--to <time>', 'as if it were this time (default: now)', single)
    .action(preview);
}

async function runs({ name, status, limit, cursor, ...options }: RunsOptions): Promise<void> {
  const filter = parseRunFilter({ name, status, limit, cursor });
  const page = await withDatabase(({ db }) => listRuns(db, filter));
  print(page, options, (found) => runLines(found.runs));
  if (page.nextCursor !== null && !options.json) say(`there are more: --cursor ${page.nextCursor}`);
}

async function preview(name: string, { from, to, ...options }: PreviewOptions): Promise<void> {
  const span = readSpan({ from, to });
  print(await withDatabase(({ db }) => previewCron(db, createZones(), name, span)), options, previewLines);
}

function cronLines({ manifests, jobs }: CronView): string[] {
  const versions = manifests.map(
    ({ version, status, jobs: n }) => `manifest ${version}: ${status}, ${counted(n, 'job')}`,
  );
  if (jobs.length === 0) return [...versions, 'no job is scheduled'];
  const rows = jobs.map((job) => [
    job.name,
    job.schedule,
    job.words,
    job.action,
    nextOf(job),
    job.lastRun === null ? '–' : `${job.lastRun.status} ${textOfMoment(job.lastRun.scheduledAt)}`,
  ]);
  return [...table(['NAME', 'SCHEDULE', 'IN WORDS', 'ACTION', 'NEXT', 'LAST RUN'], rows), ...versions];
}

/** A tick is dispatched within a second of its time. A later one is overdue, and then the next future tick would mislead. */
const dispatchSeconds = 5;

function nextOf({ overdueSeconds, nextTicks, disabled }: CronView['jobs'][number]): string {
  if (disabled)
    return `disabled${disabled.until === null ? '' : ` until ${textOfMoment(disabled.until)}`} by ${disabled.by}${disabled.reason === null ? '' : `: ${short(disabled.reason, 40)}`}`;
  if (overdueSeconds !== null && overdueSeconds >= dispatchSeconds)
    return `overdue ${durationText(overdueSeconds)}`;
  return nextTicks[0]?.toISOString() ?? '–';
}

export function runLines(found: readonly RunView[]): string[] {
  if (found.length === 0) return ['no run'];
  const rows = found.map((run) => [
    run.name,
    textOfMoment(run.scheduledAt),
    run.source,
    run.status,
    textOfMoment(run.dispatchedAt),
    textOfMoment(run.finishedAt),
    String(run.skippedTicks),
    short(run.reason ?? run.error),
  ]);
  return table(['JOB', 'TICK', 'SOURCE', 'STATUS', 'DISPATCHED', 'FINISHED', 'SKIPPED', 'REASON'], rows);
}

function previewLines(plan: Preview): string[] {
  const iso = (times: readonly Date[]): string[] => times.map((time) => `  ${time.toISOString()}`);
  const more = plan.skipped - plan.skippedTicks.length;
  return [
    `${plan.name}: ${plan.schedule} ${plan.timeZone}, policy ${plan.missedTickPolicy}`,
    `after ${plan.from.toISOString()} up to ${plan.to.toISOString()} ${plan.due} ticks come due`,
    `${plan.runs.length} run`,
    ...iso(plan.runs.map((run) => run.scheduledAt)),
    `${plan.skipped} are skipped`,
    ...(more > 0 ? [`  ${more} older ones, and`] : []),
    ...iso(plan.skippedTicks),
    `next: ${plan.nextTick.toISOString()}`,
  ];
}
