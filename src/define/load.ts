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
 * @throws WaybillError `app_not_found`, `app_not_defined` or `typescript_unsupported`; errors of the module itself pass through
 */
export async function loadApp(path: string): Promise<App> {
  const file = resolve(path);
  if (!existsSync(file))
    throw new WaybillError(
      'app_not_found',
      `WAYBILL_APP: there is no file ${path}; set it to the module that exports your application`,
    );
  if (/\.[cm]?tsx?$/.test(file) && !import.meta.url.endsWith('.ts')) prepareTypeScript(path);
  const module = await (import(pathToFileURL(file).href) as Promise<Exports>).catch((error: unknown) => {
    throw explained(path, error);
  });
  const common = module.default as Exports | undefined; // in CommonJS, the default holds all exports
  const app = appOf(module.default) ?? appOf(common?.default);
  if (!app)
    throw new WaybillError(
      'app_not_defined',
      `WAYBILL_APP: the default export of ${path} is not made by defineApp or defineOutboxRegistry`,
    );
  return app;
}

type Exports = { readonly default?: unknown };

/** A registry contains an application without cron jobs and hooks. */
function appOf(exported: unknown): App | undefined {
  if (isRegistry(exported)) return exported.app;
  return isApp(exported) ? exported : undefined;
}
