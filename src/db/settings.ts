// The settings of our sessions. The database or the role may have any defaults, and our plans, parsers and statements rely on these values. They are
// sent when a connection opens. Where a pooler refuses or silently drops them, each transaction sets them.

export type Settings = Readonly<Record<string, string>>;

/**
 * For every connection that we open, including those of handlers. Compiling a plan (jit) takes a second instead of a millisecond, at each execution,
 * and depends on an estimated cost alone (`jit_above_cost`). pg reads only ISO dates, whatever the type parser is.
 */
const ofAll: Settings = { jit: 'off', datestyle: 'ISO,MDY' };

/**
 * For connections that run only our statements. `default_transaction_read_only` is left alone: it is set to prevent writes, often after a failover,
 * when writes to this server would be lost.
 */
const ofOurs: Settings = {
  ...ofAll,
  search_path: 'pg_catalog, pg_temp', // unqualified names mean Postgres's own, whatever other schemas contain
  timezone: 'UTC',
  intervalstyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1', // the shortest text that reads back as the same number
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  idle_session_timeout: '0', // a listening connection is always idle
};

/**
 * Whose statements a connection runs: ours alone, or also the application's (`ctx.db`, its migrations). `plain`: the server may be another database
 * that speaks Postgres's protocol and has few of its settings.
 */
export type Use = 'ours' | 'application' | 'plain';

const settings: Readonly<Record<Use, Settings>> = { ours: ofOurs, application: ofAll, plain: {} };

export const settingsOf = (use: Use): Settings => settings[use];

/** The startup parameter `options` (documentation of Postgres, 20.1.4): spaces and backslashes are escaped. */
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

/** Restores the session's initial settings for the rest of the transaction. */
export function defaultSettings(settings: Settings): string {
  return Object.keys(settings)
    .map((name) => `set local ${name} = default`)
    .join('; ');
}

/** Without these, a statement outside of a transaction may give a wrong answer. The others affect speed, or are set by each transaction. */
const needed = ['datestyle', 'extra_float_digits', 'array_nulls', 'default_transaction_isolation'];

/** Reads the values that show whether a session has the settings. */
export const effectiveSql = (asked: Settings): string => {
  const names = [...needed, 'search_path', 'jit'].filter((name) => name in asked || name === 'search_path');
  return `select ${['statement_timeout', ...names]
    .map((name) => `pg_catalog.current_setting('${name}') as ${name}`)
    .join(', ')}`;
};

export type Effective = Readonly<Record<string, string>>;

const plainly = (value: string | undefined): string => (value ?? '').replaceAll(' ', '').toLowerCase();

function agree(name: string, settings: Settings, effective: Effective): boolean {
  return settings[name] === undefined || plainly(settings[name]) === plainly(effective[name]);
}

/** Whether a session has the settings that were requested when it opened. */
export function isEffective(settings: Settings, effective: Effective): boolean {
  return Object.keys(effective).every((name) => agree(name, settings, effective));
}

/** Whether a statement outside of a transaction is right under a session's settings. */
export function suffices(settings: Settings, effective: Effective): boolean {
  const isNamedLate = plainly(effective['search_path']).split(',').indexOf('pg_catalog') > 0;
  return !isNamedLate && needed.every((name) => agree(name, settings, effective));
}
