// The application's module: its default export, made by defineApp.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WaybillError } from '../outbox/errors.ts';
import { isApp, type App } from './app.ts';

/**
 * @param path of the module, from the working directory
 * @throws WaybillError `app_not_found` or `app_not_defined`; what the module itself throws passes through
 */
export async function loadApp(path: string): Promise<App> {
  const file = resolve(path);
  if (!existsSync(file))
    throw new WaybillError(
      'app_not_found',
      `WAYBILL_APP: there is no file ${path}; set it to the module that exports your application`,
    );
  if (/\.[cm]?tsx?$/.test(file) && !import.meta.url.endsWith('.ts')) await import('./typescript.ts');
  const module = (await import(pathToFileURL(file).href)) as { default?: unknown };
  const app = isApp(module.default) ? module.default : (module.default as typeof module | undefined)?.default; // of CommonJS, all exports are the default
  if (!isApp(app))
    throw new WaybillError(
      'app_not_defined',
      `WAYBILL_APP: the default export of ${path} is not made by defineApp`,
    );
  return app;
}
