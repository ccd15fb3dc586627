// The .env file of the working directory, for commands on a developer's machine. What is set already wins; in production nothing is read.

import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** Puts the file's variables into `env`. @returns the names of those that came from it */
export function loadEnvFile(env: NodeJS.ProcessEnv, file = '.env'): ReadonlySet<string> {
  if (env['NODE_ENV'] === 'production' || !existsSync(file)) return new Set();
  const fresh = Object.entries(parseEnv(readFileSync(file, 'utf8'))).filter(
    ([name]) => env[name] === undefined,
  );
  for (const [name, value] of fresh) env[name] = value;
  return new Set(fresh.map(([name]) => name));
}
