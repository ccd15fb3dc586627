// `waybill cron disable|enable|backfill NAME`: acts on a scheduled job beside its run.

import type { Command } from 'commander';
import { backfillCron, disableCron, enableCron, type BackfillOptions } from '../../acts/cron.ts';
import { readRange } from '../../cron/backfill.ts';
import { textOfMoment } from '../../db/moment.ts';
import { readPauseEnd } from '../../operate/pause.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { single, whole } from '../options.ts';
import { print, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type Given = Output & ActorOptions;

export function addCronActs(cron: Command): void {
  addActor(cron.command('disable'), 'for those who find it disabled, and the audit')
    .description('skip the ticks of a job until it is enabled')
    .argument('<name>', 'name of a job')
    .option('--until <time>', 'enable it at this time, such as 2026-12-01T08:00Z', single)
    .option('--for <duration>', 'enable it after this time, such as 30m or 2h', single)
    .action(async (name: string, options: Given & { readonly until?: string; readonly for?: string }) => {
      const end = readPauseEnd(options);
      const job = await withDatabase(({ db }) => disableCron(db, actorOf(options), name, end));
      const { until = null } = job.disabled ?? {};
      print(job, options, () => [
        `${name} is disabled${until === null ? '' : ` until ${textOfMoment(until)}`}`,
      ]);
    });
  addActor(cron.command('enable'))
    .description('let a disabled job run again from its next tick on')
    .argument('<name>', 'name of a job')
    .action(async (name: string, options: Given) => {
      const job = await withDatabase(({ db }) => enableCron(db, actorOf(options), name));
      print(job, options, () => [
        `${name} is enabled; its next tick is ${job.nextTicks[0]?.toISOString() ?? '–'}`,
      ]);
    });
  addBackfill(cron);
}

function addBackfill(cron: Command): void {
  addActor(cron.command('backfill'))
    .description('run the ticks of a range that were skipped or missed, each once')
    .argument('<name>', 'name of a job')
    .option(
      '--from <time>',
      'first tick at the earliest: a time, or a duration before now such as 24h',
      single,
    )
    .option('--to <time>', 'last tick at the latest (default: now)', single)
    .option('--dry-run', 'only say which ticks would run')
    .option('--expect <count>', 'how many ticks the dry run named; needed above 100', whole)
    .action(async (name: string, options: Given & BackfillOptions & { from?: string; to?: string }) => {
      const { dryRun = false, expect } = options;
      const range = readRange(options);
      const done = await withDatabase(({ db }) =>
        backfillCron(db, actorOf(options), name, range, { dryRun, expect }),
      );
      print(done, options, ({ ticks, alreadyRun, runs }) => [
        `${ticks} ticks, ${alreadyRun} of them ran before; ${runs.length} ${dryRun ? 'would run' : 'are dispatched'}`,
        ...runs.map((tick) => `  ${tick.toISOString()}`),
      ]);
    });
}
