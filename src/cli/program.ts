// The program with all commands, and the life of one call: parse, run, and turn an error into a message and an exit code.

import { Command } from 'commander';
import { endingOf } from './exit.ts';
import { loadEnvFiles } from '../config/env-loading.ts';
import { version } from '../process/host.ts';
import { hideSecrets } from '../redaction/redact.ts';
import { visibleText } from '../redaction/visible.ts';
import { single } from './options.ts';
import { keepStdoutForResult, say, watchResult } from './print.ts';
import { chooseDatabase } from './session.ts';

type Files = ReadonlyMap<string, string>;

/** The commands in the order of the help. Their modules are loaded when they are called for: all of them take twice as long as one. */
const commands: Readonly<Record<string, (program: Command, fromFile: Files) => Promise<void>>> = {
  release: async (program) => (await import('./commands/release.ts')).addRelease(program),
  migrate: async (program) => (await import('./commands/migrate.ts')).addMigrate(program),
  run: async (program) => (await import('./commands/run.ts')).addRun(program),
  outbox: async (program) => (await import('./commands/outbox.ts')).addOutbox(program),
  bulk: async (program) => (await import('./commands/bulk.ts')).addBulk(program),
  import: async (program) => (await import('./commands/import.ts')).addImport(program),
  export: async (program) => (await import('./commands/export.ts')).addExport(program),
  cron: async (program) => (await import('./commands/cron.ts')).addCron(program),
  queues: async (program) => (await import('./commands/queues.ts')).addQueues(program),
  webhooks: async (program) => (await import('./commands/webhooks.ts')).addWebhooks(program),
  email: async (program) => (await import('./commands/email.ts')).addEmail(program),
  suppressions: async (program) => (await import('./commands/suppressions.ts')).addSuppressions(program),
  audit: async (program) => (await import('./commands/audit.ts')).addAudit(program),
  fleet: async (program) => (await import('./commands/fleet.ts')).addFleet(program),
  storage: async (program) => (await import('./commands/storage.ts')).addStorage(program),
  series: async (program) => (await import('./commands/series.ts')).addSeries(program),
  init: async (program) => (await import('./commands/init.ts')).addInit(program),
  make: async (program) => (await import('./commands/make.ts')).addMake(program),
  doctor: async (program) => (await import('./commands/doctor.ts')).addDoctor(program),
  check: async (program) => (await import('./commands/check.ts')).addCheck(program),
  env: async (program, fromFile) => (await import('./commands/env.ts')).addEnv(program, fromFile),
  dev: async (program) => (await import('./commands/dev.ts')).addDev(program),
};

/**
 * @param fromFile the file that each variable came from, if it did
 * @param called the command that is called; if there is no such one, or none is given, the program has all
 */
export async function createProgram(fromFile: Files = new Map(), called?: string): Promise<Command> {
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
  const known = called !== undefined && Object.hasOwn(commands, called) ? [called] : Object.keys(commands);
  for (const name of known) await commands[name]!(program, fromFile);
  addJson(program, 'waybill');
  return program;
}

/** Options of all or most commands. With `projectUrl` the database is one of a project elsewhere. */
type Common = { readonly json?: boolean; readonly database?: string; readonly projectUrl?: string };

/** Commands that use no database, and `dev`, which serves all of them. */
const withoutDatabase = /^waybill (?:init|make|env|check|dev)\b/;

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
  let isSearch = false;
  try {
    const program = await createProgram(loadEnvFiles(process.env), argv[2]);
    program.hook('preAction', (_, { options }) => {
      isSearch = options.some(({ long }) => long === '--since');
    });
    await program.parseAsync([...argv]);
  } catch (error) {
    const { code, message } = endingOf(error, isSearch);
    if (message !== undefined) say(`waybill: ${message}`);
    process.exitCode = code;
  }
}
