// The databases of WAYBILL_DATABASES: one fleet serves several. Each has a name, by which people and programs choose it.

import { clearTextProblem, readPostgresUrl, type PostgresUrl } from '../db/url.ts';
import { nearest } from '../nearest.ts';
import type { Report } from './admin-keys.ts';

export type NamedDatabase = { readonly name: string; readonly url: string };

/** At most 30 characters: a name stands in log lines, metric labels, URLs and headings. */
const nameShape = /^[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?$/;
export const isDatabaseName = (name: unknown): name is string =>
  typeof name === 'string' && nameShape.test(name);
export const databaseNameRule = "1 to 30 lower-case letters, digits or '-', such as eu or us-2";

/**
 * Reads `name=url,name=url`. A comma inside a URL is written %2C, as in `postgres://`.
 * Problems name the entry by its place and never repeat a URL, because the password may be anywhere in it.
 */
export function readDatabases(
  variable: string,
  value: string | undefined,
  report: Report,
): readonly NamedDatabase[] {
  const entries = value?.split(',').map((entry) => entry.trim()) ?? [];
  const read = entries.flatMap((entry, i) => {
    const place = `entry ${i + 1}`;
    const [, name, url = ''] = /^([^=:/@]*)=(.*)$/s.exec(entry) ?? [];
    if (name === undefined)
      report(variable, `${place} must be name=url; a comma in user or password is written %2C`);
    else if (!isDatabaseName(name)) report(variable, `${place} needs a name of ${databaseNameRule}`);
    else {
      const parsed = readPostgresUrl(url);
      if (!('problem' in parsed)) return [{ name, url }];
      report(variable, `${place} (${name}) ${parsed.problem}`);
    }
    return [];
  });
  read.forEach(({ name, url }, i) => {
    const before = read.slice(0, i);
    if (before.some((other) => other.name === name)) report(variable, `names ${name} twice`);
    const same = before.find((other) => other.url === url);
    if (same) report(variable, `has the same URL for ${same.name} and ${name}: each needs its own database`);
  });
  return read;
}

export const namesOf = (databases: readonly NamedDatabase[]): string[] => databases.map(({ name }) => name);

/** Why a name chooses no database of the list; undefined when it does. */
export function choiceProblem(name: string, names: readonly string[]): string | undefined {
  if (names.includes(name)) return undefined;
  const meant = nearest(name.slice(0, 100), names);
  return `there is no database ${JSON.stringify(name.slice(0, 100))}; there are ${names.join(', ')}${meant ? `; was ${meant} meant?` : ''}`;
}

/** Two names that lead to the same database, as only the databases themselves can tell. */
export const sameProblem = (
  one: string | null,
  other: string | null,
): { readonly variable: string; readonly message: string } => ({
  variable: 'WAYBILL_DATABASES',
  message: `${one} and ${other} are the same database: each name needs its own`,
});

/** Problems of the variables that say which databases there are, where they do not fit together. */
export function reportDatabases(
  databases: readonly NamedDatabase[],
  chosen: string | null,
  env: Readonly<Record<string, string | undefined>>,
  report: Report,
): void {
  const [url, list] = [env['DATABASE_URL'], env['WAYBILL_DATABASES']];
  if (!list && !url)
    report(
      'DATABASE_URL',
      'is required: postgres://user:password@host:5432/database (or WAYBILL_DATABASES, for several)',
    );
  if (!list && chosen !== null) report('WAYBILL_DATABASES', 'is required when WAYBILL_DATABASE is set');
  if (databases.length === 0) return; // nothing can be said of a list that is wrong itself
  if (url && !databases.some((one) => one.url === url))
    report(
      'DATABASE_URL',
      'names a database that is not in WAYBILL_DATABASES, so that nothing would serve it: add it there, or unset it',
    );
  if (env['QUEUE_DATABASE_URL'])
    report(
      'QUEUE_DATABASE_URL',
      'is for one database: with WAYBILL_DATABASES each database has its own queue; unset it',
    );
  const problem = chosen === null ? undefined : choiceProblem(chosen, namesOf(databases));
  if (problem !== undefined) report('WAYBILL_DATABASE', problem);
}

/** The database that a sentence has to name, because the fleet has several; null: there is no other. */
export const databaseToName = ({
  databases,
  database,
}: Pick<Served, 'databases' | 'database'>): string | null => (databases.length > 1 ? database : null);

/** What a configuration says of databases. */
type Served = {
  readonly databases: readonly NamedDatabase[];
  readonly database: string | null;
  readonly databaseUrl: string;
  readonly queueDatabaseUrl: string;
  readonly smtpConnections: number;
};

/**
 * One configuration for each database that a process or command serves: all of WAYBILL_DATABASES, or the one that WAYBILL_DATABASE names. The
 * connections of a process to the mail server are shared out.
 */
export function eachDatabase<C extends Served>(config: C): readonly C[] {
  const { databases, database, smtpConnections } = config;
  if (databases.length === 0 || database !== null) return [config];
  return databases.map(({ name, url }) => ({
    ...config,
    database: name,
    databaseUrl: url,
    queueDatabaseUrl: url,
    smtpConnections: Math.max(1, Math.floor(smtpConnections / databases.length)),
  }));
}

/** The variables with database URLs. A wrong or missing one is left out. */
export function databaseUrls({
  databases,
  databaseUrl: DATABASE_URL,
  queueDatabaseUrl: QUEUE_DATABASE_URL,
}: Served): { readonly variable: string; readonly url: PostgresUrl }[] {
  const alone = QUEUE_DATABASE_URL === DATABASE_URL ? { DATABASE_URL } : { DATABASE_URL, QUEUE_DATABASE_URL };
  const named = databases.map(({ name, url }) => [`WAYBILL_DATABASES (${name})`, url] as const);
  return (named.length > 0 ? named : Object.entries(alone)).flatMap(([variable, text]) => {
    const url = readPostgresUrl(text);
    return 'problem' in url ? [] : [{ variable, url }];
  });
}

export function reportClearText(config: Served, report: Report): void {
  for (const { variable, url } of databaseUrls(config)) {
    const problem = clearTextProblem(url);
    if (problem !== undefined) report(variable, problem);
  }
}
