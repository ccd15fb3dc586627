// `waybill cron`: its commands, in the order of the help.

import type { Command } from 'commander';
import { addCronActs } from './cron-acts.ts';
import { addCronLook } from './cron-look.ts';
import { addCronRun } from './cron-run.ts';

export function addCron(program: Command): void {
  const cron = program.command('cron').description('look at scheduled jobs and run them');
  addCronLook(cron);
  addCronRun(cron);
  addCronActs(cron);
}
