// Commands that are of all databases of a fleet: each does its work in one after the other, and shows what it found in each.

import { ConfigError, readConfig } from '../config/config.ts';
import { eachDatabase, sameProblem } from '../config/databases.ts';
import { openDatabase } from '../db/pool.ts';
import { isSameDatabase } from '../db/same.ts';
import type { Use } from '../db/settings.ts';
import { print, say, type Output } from './print.ts';
import { usingDatabase, type Session } from './session.ts';

export type EachDatabase<T> = {
  readonly options: Output;
  readonly lines: (found: T) => readonly string[];
  readonly use?: Use;
  /** One that fails does not keep the command from the others. */
  readonly goOn?: boolean;
};

/**
 * With one database, or one that was chosen, the result is shown as it is; with several, each under its name, in JSON as `databases`.
 * @throws the first error, after the databases that were done are shown
 */
export async function onEachDatabase<T extends object>(
  body: (session: Session) => Promise<T>,
  { options, lines, use = 'ours', goOn = false }: EachDatabase<T>,
): Promise<readonly T[]> {
  const all = eachDatabase(readConfig(process.env));
  if (all.length === 1) {
    const found = await usingDatabase(all[0]!, body, { use });
    print(found, options, lines);
    return [found];
  }
  const done: (T & { readonly database: string })[] = [];
  const failures: { readonly database: string; readonly error: unknown }[] = [];
  for (const config of all) {
    const database = config.database ?? '';
    if (failures.length > 0 && !goOn) break;
    try {
      const found = { database, ...(await usingDatabase(config, body, { use })) };
      done.push(found);
      if (!options.json)
        print(found, options, () => [`${database}:`, ...lines(found).map((line) => `  ${line}`)]);
    } catch (error) {
      failures.push({ database, error });
    }
  }
  if (options.json) print({ databases: done }, options, () => []);
  if (failures.length === 0) return done;
  const [first] = failures;
  const left = all.map((one) => one.database ?? '').slice(done.length + failures.length);
  say(
    `waybill: ${reportOf({ done: done.map((one) => one.database), failed: failures.map((one) => one.database), left })}`,
  );
  throw first!.error;
}

function reportOf(parts: Readonly<Record<'done' | 'failed' | 'left', readonly string[]>>): string {
  const words = { done: 'done', failed: 'failed', left: 'not tried' } as const;
  return (['done', 'failed', 'left'] as const)
    .filter((part) => parts[part].length > 0)
    .map((part) => `${words[part]}: ${parts[part].join(', ')}`)
    .join('; ');
}

/** @throws ConfigError when two names lead to the same database; the database's error when one does not answer */
export async function refuseSameDatabases(): Promise<void> {
  const all = eachDatabase(readConfig(process.env));
  if (all.length === 1) return;
  const opened = all.map(({ databaseUrl: url, database }) => ({
    database,
    db: openDatabase({
      url,
      max: 1,
      use: 'ours',
      applicationName: 'waybill cli',
      onIdleError: () => undefined,
      setting: `WAYBILL_DATABASES (${database})`,
    }),
  }));
  try {
    for (const [i, one] of opened.entries())
      for (const other of opened.slice(0, i))
        if (await isSameDatabase(other.db, one.db))
          throw new ConfigError([sameProblem(other.database, one.database)]);
  } finally {
    await Promise.all(opened.map(({ db }) => db.end()));
  }
}
