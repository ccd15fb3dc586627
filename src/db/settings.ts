// The settings of our sessions. Whoever runs the database may have set anything else for it or for the role, and our plans, our parsers and our
// statements rely on these. They go out when a connection opens; where a pooler refuses that, or says nothing and drops them, each
// transaction carries them.

export type Settings = Readonly<Record<string, string>>;

/**
 * Of every connection that we open, those of handlers too. A plan that is compiled takes a second instead of a millisecond, at each execution;
 * whether it is depends on an estimated cost alone (`jit_above_cost`). Only ISO dates can be read by pg, whatever the type parser is.
 */
const ofAll: Settings = { jit: 'off', datestyle: 'ISO,MDY' };

/**
 * Of connections that run nothing but our statements. `default_transaction_read_only` is not among them: who sets it wants no writes, often because
 * another server has taken over, and what is written all the same is lost with this one.
 */
const ofOurs: Settings = {
  ...ofAll,
  search_path: 'pg_catalog, pg_temp', // what is not ours by name is Postgres's own, whatever stands in other schemas
  timezone: 'UTC',
  intervalstyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1', // the shortest text that reads back as the same number
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  idle_session_timeout: '0', // a connection that listens is idle by profession
};

/**
 * Whose statements a connection runs: ours alone, or also those of the application (`ctx.db`, its migrations). `plain`: the server may be another
 * database that speaks Postgres's protocol, and knows few of its settings.
 */
export type Use = 'ours' | 'application' | 'plain';

const settings: Readonly<Record<Use, Settings>> = { ours: ofOurs, application: ofAll, plain: {} };

export const settingsOf = (use: Use): Settings => settings[use];

/** The startup parameter `options` (documentation of Postgres, 20.1.4): blanks and backslashes are escaped. */
export function startupOptions(settings: Settings): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replaceAll(/[\\ ]/g, '\\$&')}`)
    .join(' ');
}

/** For a transaction that must set them itself. */
export function localSettings(settings: Settings): string {
  return Object.entries(settings)
    .filter(([name]) => name !== 'idle_session_timeout')
    .map(([name, value]) => `set local ${name} = ${name === 'search_path' ? value : `'${value}'`}`)
    .join('; ');
}

/** Back to what the session began with, for the rest of the transaction. */
export function defaultSettings(settings: Settings): string {
  return Object.keys(settings)
    .map((name) => `set local ${name} = default`)
    .join('; ');
}

/** Without these a statement by itself, outside of a transaction, may give a wrong answer. The others cost time, or hold in transactions. */
const needed = ['datestyle', 'extra_float_digits', 'array_nulls', 'default_transaction_isolation'];

/** Asks for what tells whether a session has them. */
export const effectiveSql = (asked: Settings): string => {
  const names = [...needed, 'search_path', 'jit'].filter((name) => name in asked || name === 'search_path');
  return `select ${['statement_timeout', ...names]
    .map((name) => `pg_catalog.current_setting('${name}') as ${name}`)
    .join(', ')}`;
};

export type Effective = Readonly<Record<string, string>>;

const plainly = (value: string | undefined): string => (value ?? '').replaceAll(' ', '').toLowerCase();

/** Whether a session has what was asked for when it was opened. */
export function isEffective(settings: Settings, effective: Effective): boolean {
  return Object.entries(effective).every(
    ([name, value]) => settings[name] === undefined || plainly(settings[name]) === plainly(value),
  );
}

/** Whether a statement by itself is right under what a session has. */
export function suffices(settings: Settings, effective: Effective): boolean {
  const isNamedLate = plainly(effective['search_path']).split(',').indexOf('pg_catalog') > 0;
  return (
    !isNamedLate &&
    needed.every(
      (name) => settings[name] === undefined || plainly(settings[name]) === plainly(effective[name]),
    )
  );
}
