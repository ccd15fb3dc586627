// Reads the .env file of the working directory, and what a running `waybill dev` left there, by one rule for all commands and processes. It is for a developer's machine: with NODE_ENV=production
// in the environment nothing is read. The environment wins, but an empty value there counts as not set.

import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { devFile, readDevFile } from './dev-file.ts';

/** Puts the file's variables into `env`. @returns which file each variable came from */
export function loadEnvFile(env: NodeJS.ProcessEnv, file = '.env'): ReadonlyMap<string, string> {
  if (env['NODE_ENV'] === 'production' || !existsSync(file)) return new Map();
  return fill(env, parseEnv(readFileSync(file, 'utf8')), file);
}

/** The same for a command: without a database in the configuration it reaches the database of a `waybill dev` that runs in this folder. */
export function loadEnvFiles(env: NodeJS.ProcessEnv): ReadonlyMap<string, string> {
  const fromFile = loadEnvFile(env);
  if (env['NODE_ENV'] === 'production' || env['DATABASE_URL'] || env['WAYBILL_DATABASES']) return fromFile;
  const { variables = {} } = readDevFile(process.cwd()) ?? {};
  return new Map([...fromFile, ...fill(env, variables, devFile)]);
}

function fill(
  env: NodeJS.ProcessEnv,
  variables: NodeJS.Dict<string>,
  file: string,
): ReadonlyMap<string, string> {
  const fresh = Object.entries(variables).filter(([name]) => !env[name]);
  for (const [name, value] of fresh) env[name] = value;
  return new Map(fresh.map(([name]) => [name, file]));
}
