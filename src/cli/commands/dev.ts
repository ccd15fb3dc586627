// `waybill dev`: runs the whole fleet in one process on this machine, with a database if there is none, and again when a source changes.

import { dirname, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { readConfig, type Config } from '../../config/config.ts';
import { readDevFile, writeDevFile } from '../../config/dev-file.ts';
import { consoleLink } from '../../console/link.ts';
import { createCommands } from '../../dev/commands.ts';
import { openDevDatabase } from '../../dev/database.ts';
import { createDevFleet } from '../../dev/dev-fleet.ts';
import { onInterrupt, type Interrupt } from '../../dev/interrupt.ts';
import { devKeys } from '../../dev/keys.ts';
import { readDocument, screenLines, type Addresses } from '../../dev/screen.ts';
import { webPort } from '../../dev/web-port.ts';
import { UsageError } from '../exit.ts';
import { prepare } from '../prepare.ts';
import { say, sayLink } from '../print.ts';

type Options = { readonly yes?: boolean };

export function addDev(program: Command): void {
  program
    .command('dev')
    .description('run the whole fleet here, with a database if there is none, until Ctrl-C')
    .option('--yes', 'make and install what is missing without asking')
    .action(dev);
}

async function dev({ yes = false }: Options): Promise<void> {
  const interrupt = onInterrupt();
  try {
    await develop(process.cwd(), yes, interrupt);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
  } finally {
    interrupt.end();
  }
}

async function develop(project: string, yes: boolean, interrupt: Interrupt): Promise<void> {
  refuseSecond(project);
  await prepare(project, { yes, signal: interrupt.signal });
  const config = checkedConfig();
  const place = await placeOf(config);
  const database = await openDevDatabase(process.env['DATABASE_URL'] || config.databases[0]?.url, project);
  try {
    const made = { ...madeUp(config, place, project), DATABASE_URL: database.url };
    const forget = database.folder === null ? () => undefined : writeDevFile(project, made);
    try {
      const env = { ...process.env, ...made, WAYBILL_SUPERVISED: '1' }; // the child ends with this process
      const fleet = createDevFleet(createCommands(project, process.argv[1]!, env), {
        web: place.web,
        folders: watched(project, resolve(config.app)),
        interrupt,
        say,
      });
      await fleet.run(async () => {
        const addresses = addressesOf(env, place.web, database.folder);
        for (const line of screenLines(addresses, await readDocument(place.web))) sayLink(line);
      });
    } finally {
      forget();
    }
  } finally {
    await database.end();
  }
}

/** One Postgres has one owner. With a database of their own, two may run. */
function refuseSecond(project: string): void {
  const running = readDevFile(project);
  const url = process.env['DATABASE_URL'];
  if (!running || (url && url !== running.variables['DATABASE_URL'])) return;
  throw new UsageError(
    'dev_running',
    `waybill dev runs here already (process ${running.pid}): end that one first`,
  );
}

/** The project, and the application's folder where that is elsewhere. */
function watched(project: string, app: string): string[] {
  return app.startsWith(project + sep) ? [project] : [project, dirname(app)];
}

/** A wrong configuration ends the command with every problem, before anything is started. */
function checkedConfig(): Config {
  const { DATABASE_URL: url, ...others } = process.env;
  const isNone = !url && !others['WAYBILL_DATABASES'];
  return readConfig({ ...others, DATABASE_URL: isNone ? 'postgres://localhost/none' : url });
}

type Place = { readonly host: string; readonly port: number; readonly web: string };

async function placeOf({ port: wanted }: Config): Promise<Place> {
  const host = process.env['HOST'] || 'localhost';
  const port = await webPort(wanted, Boolean(process.env['PORT']), host);
  if (port !== wanted) say(`port ${wanted} is taken: web listens on ${port}`);
  const reached = /^(?:0\.0\.0\.0|::)$/.test(host) ? 'localhost' : host;
  return { host, port, web: `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}` };
}

/** What the configuration leaves open. Keys are made up for this machine alone, and with NODE_ENV=production nothing is. */
function madeUp(config: Config, { host, port }: Place, project: string): Record<string, string> {
  const where = { HOST: host, PORT: String(port) };
  if (config.production) return where;
  const isLocal = /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host);
  const keys = isLocal ? devKeys(project) : undefined;
  return {
    ...where,
    ...(keys && config.apiKey === null ? { WAYBILL_API_KEY: keys.WAYBILL_API_KEY } : {}),
    ...(keys && config.adminKeys.length === 0 ? { WAYBILL_ADMIN_KEY: keys.WAYBILL_ADMIN_KEY } : {}),
    ...(config.emailProviders.length === 0 ? { WAYBILL_EMAIL_PROVIDER: 'inbox' } : {}),
    ...(config.emailFrom === null ? { WAYBILL_EMAIL_FROM: 'hello@app.example' } : {}),
  };
}

function addressesOf(env: NodeJS.ProcessEnv, web: string, data: string | null): Addresses {
  const adminKey = env['WAYBILL_ADMIN_KEY'];
  return {
    web,
    consoleLink: adminKey && env['NODE_ENV'] !== 'production' ? consoleLink(web, adminKey) : null,
    hasInbox: env['WAYBILL_EMAIL_PROVIDER'] === 'inbox',
    apiKey: env['WAYBILL_API_KEY'] ?? null,
    data,
  };
}
