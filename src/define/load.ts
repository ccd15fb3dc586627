// Loads the application from the default export of its module.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WaybillError } from '../errors.ts';
import { isApp, type App } from './app.ts';
import { isRegistry } from './registry.ts';
import { explained, prepareTypeScript } from './typescript.ts';

/**
 * @param path the module's path, relative to the working directory
 * @param database the one of several that it is for: cron jobs of another are left out. Null: there is only one, which has all
 * If the module ends the process, its exit code is 1, and stderr says why.
 * @throws WaybillError `app_not_found`, `app_not_defined`, `email_package_missing` or `typescript_unsupported`; errors of the module itself pass through
 */
export async function loadApp(path: string, database: string | null = null): Promise<App> {
  const file = resolve(path);
  if (!existsSync(file))
    throw new WaybillError(
      'app_not_found',
      `WAYBILL_APP: there is no file ${path}; set it to the module that exports your application`,
    );
  if (/\.[cm]?tsx?$/.test(file) && !import.meta.url.endsWith('.ts')) prepareTypeScript(path);
  const module = await watched(path, import(pathToFileURL(file).href) as Promise<Exports>);
  const common = module.default as Exports | undefined; // in CommonJS, the default holds all exports
  const app = appOf(module.default) ?? appOf(common?.default);
  if (!app)
    throw new WaybillError(
      'app_not_defined',
      `WAYBILL_APP: the default export of ${path} is not made by defineApp or defineOutboxRegistry`,
    );
  return database === null ? app : appOfDatabase(app, database);
}

function appOfDatabase(app: App, database: string): App {
  const its = app.cron.jobs.filter((job) => job.database === undefined || job.database === database);
  const plain = its.map((job) => {
    const { database: _, ...rest } = job;
    return Object.freeze(rest);
  });
  const jobs = Object.freeze(plain);
  return Object.freeze({ ...app, cron: Object.freeze({ ...app.cron, jobs }) });
}

/** Without this, a `release` whose application calls `process.exit()` would seem to have succeeded. */
async function watched(path: string, loading: Promise<Exports>): Promise<Exports> {
  const { code, message } = new WaybillError(
    'app_ended_process',
    `WAYBILL_APP: the process ends before ${path} is loaded: a module of it calls process.exit, or awaits what never comes`,
  );
  const tell = (exitCode: number): void => {
    process.stderr.write(`waybill: ${message} (${code})\n`);
    if (exitCode === 0 || exitCode === unsettled) process.exitCode = 1;
  };
  process.once('exit', tell);
  try {
    return await loading;
  } catch (error) {
    throw packageError(path, error) ?? explained(path, error);
  } finally {
    process.off('exit', tell);
  }
}

/** The packages that `waybill/mjml` and `waybill/react-email` import, with the command that adds them. */
const templatePackages: Readonly<Record<string, string>> = {
  mjml: 'npm install mjml',
  '@react-email/render': 'npm install @react-email/render react react-dom',
};

function packageError(path: string, error: unknown): WaybillError | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return undefined;
  const name = Object.keys(templatePackages).find((one) => message.includes(`'${one}'`));
  if (name === undefined) return undefined;
  const why = `it renders templates with the package ${name}: ${templatePackages[name]}`;
  return new WaybillError('email_package_missing', `WAYBILL_APP: ${path} does not load: ${why}`);
}

/** Node's exit code when a top-level await can never settle. */
const unsettled = 13;

type Exports = { readonly default?: unknown };

/** A registry contains an application without cron jobs and hooks. */
function appOf(exported: unknown): App | undefined {
  if (isRegistry(exported)) return exported.app;
  return isApp(exported) ? exported : undefined;
}
