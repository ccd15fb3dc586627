// Reads the .env file of the working directory, by one rule for all commands and processes. It is for a developer's machine: with NODE_ENV=production
// in the environment nothing is read. The environment wins, but an empty value there counts as not set.

import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** Puts the file's variables into `env`. @returns the names of the variables that came from the file */
export function loadEnvFile(env: NodeJS.ProcessEnv, file = '.env'): ReadonlySet<string> {
  if (env['NODE_ENV'] === 'production' || !existsSync(file)) return new Set();
  const fresh = Object.entries(parseEnv(readFileSync(file, 'utf8'))).filter(([name]) => !env[name]);
  for (const [name, value] of fresh) env[name] = value;
  return new Set(fresh.map(([name]) => name));
}
