// The program with all commands, and the life of one call: parse, run, and turn an error into a message and an exit code.

import { Command } from 'commander';
import { addAudit } from './commands/audit.ts';
import { addBulk } from './commands/bulk.ts';
import { addCheck } from './commands/check.ts';
import { addCronActs } from './commands/cron-acts.ts';
import { addCronRun } from './commands/cron-run.ts';
import { addCronLook } from './commands/cron.ts';
import { addDev } from './commands/dev.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEmail } from './commands/email.ts';
import { addEnv } from './commands/env.ts';
import { addExport } from './commands/export.ts';
import { addFleet } from './commands/fleet.ts';
import { addImport } from './commands/import.ts';
import { addInit } from './commands/init.ts';
import { addMake } from './commands/make.ts';
import { addMigrate } from './commands/migrate.ts';
import { addOutboxActs } from './commands/outbox-acts.ts';
import { addOutboxErase } from './commands/outbox-erase.ts';
import { addOutboxDrain } from './commands/outbox-drain.ts';
import { addOutboxOperate } from './commands/outbox-operate.ts';
import { addOutboxRead } from './commands/outbox-read.ts';
import { addOutboxFailures } from './commands/outbox-failures.ts';
import { addOutboxSearch } from './commands/outbox-search.ts';
import { addQueues } from './commands/queues.ts';
import { addRelease } from './commands/release.ts';
import { addRun } from './commands/run.ts';
import { addSeries } from './commands/series.ts';
import { addStorage } from './commands/storage.ts';
import { addSuppressions } from './commands/suppressions.ts';
import { addWebhooks } from './commands/webhooks.ts';
import { endingOf } from './exit.ts';
import { loadEnvFiles } from '../config/env-loading.ts';
import { version } from '../process/host.ts';
import { hideSecrets } from '../redaction/redact.ts';
import { visibleText } from '../redaction/visible.ts';
import { single } from './options.ts';
import { keepStdoutForResult, say, watchResult } from './print.ts';
import { chooseDatabase } from './session.ts';

/** @param fromFile the file that each variable came from, if it did */
export function createProgram(fromFile: ReadonlyMap<string, string> = new Map()): Command {
  const program = new Command('waybill')
    .description('A transactional outbox with a worker fleet, on Postgres and nothing else.')
    .version(version(), '--version', 'the version of Waybill')
    .exitOverride() // commands inherit this and the next settings, so they come first
    .configureOutput({ writeErr: (text) => void process.stderr.write(visibleText(hideSecrets(text))) })
    .hook('preAction', (_, command) => {
      const { json, database, projectUrl } = command.optsWithGlobals<Common>();
      if (json) keepStdoutForResult();
      if (database !== undefined && projectUrl === undefined) chooseDatabase(database, process.env);
    })
    .showHelpAfterError('(--help shows what there is)');
  addRelease(program);
  addMigrate(program);
  addRun(program);
  addOutbox(program);
  addBulk(program);
  addImport(program);
  addExport(program);
  const cron = program.command('cron').description('look at scheduled jobs and run them');
  addCronLook(cron);
  addCronRun(cron);
  addCronActs(cron);
  addQueues(program);
  addWebhooks(program);
  addEmail(program);
  addSuppressions(program);
  addAudit(program);
  addFleet(program);
  addStorage(program);
  addSeries(program);
  addInit(program);
  addMake(program);
  addDoctor(program);
  addCheck(program);
  addEnv(program, fromFile);
  addDev(program);
  addJson(program, 'waybill');
  return program;
}

/** Options of all or most commands. With `projectUrl` the database is one of a project elsewhere. */
type Common = { readonly json?: boolean; readonly database?: string; readonly projectUrl?: string };

/** Commands that use no database, and `dev`, which serves all of them. */
const withoutDatabase = /^waybill (?:init|make|env|check|dev)\b/;
function addOutbox(program: Command): void {
  const outbox = program.command('outbox').description('look at messages and operate on them');
  addOutboxRead(outbox);
  addOutboxSearch(outbox);
  addOutboxFailures(outbox);
  addOutboxOperate(outbox);
  addOutboxActs(outbox);
  addOutboxErase(outbox);
  addOutboxDrain(outbox);
}

/** These run until they are stopped: they have no result. */
const endless = ['waybill run', 'waybill dev'];

function addJson(command: Command, path: string): void {
  for (const one of command.commands) addJson(one, `${path} ${one.name()}`);
  if (command.commands.length > 0) return;
  if (!endless.includes(path)) command.option('--json', 'the result as JSON');
  if (!withoutDatabase.test(path))
    command.option('--database <name>', 'the one of WAYBILL_DATABASES, where there are several', single);
}

/** Sets the exit code and does not call `exit`, so that output to a pipe is written completely. */
export async function runCommand(argv: readonly string[]): Promise<void> {
  watchResult();
  try {
    await createProgram(loadEnvFiles(process.env)).parseAsync([...argv]);
  } catch (error) {
    const { code, message } = endingOf(error);
    if (message !== undefined) say(`waybill: ${message}`);
    process.exitCode = code;
  }
}
