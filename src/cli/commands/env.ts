// `waybill env list|set|unset|check`: shows and checks the configuration, and edits a .env file for development.

import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { nearest } from '../../nearest.ts';
import { shown, variables } from '../../config/catalogue.ts';
import type { Variable } from '../../config/email-catalogue.ts';
import { ConfigError, readConfig } from '../../config/config.ts';
import { warningsOf } from '../../config/warnings.ts';
import { replaceFile } from '../application.ts';
import { namesIn, withoutVariable, withVariable } from '../env-file.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { single } from '../options.ts';
import { packageProblems } from '../mail-inspection.ts';
import { print, table, type Output } from '../print.ts';

type FileOptions = Output & { readonly file?: string };

/** @param fromFile the file that each variable came from, if it did */
export function addEnv(program: Command, fromFile: ReadonlyMap<string, string>): void {
  const env = program.command('env').description('look at the configuration, and edit a .env file');
  env
    .command('list')
    .description('every variable with its value, where it comes from, and what it means')
    .action((options: Output) => list(options, fromFile));
  env
    .command('check')
    .description('all that is wrong with the configuration; exit code 78 when anything is')
    .action(check);
  withFile(env.command('set').description('set a variable in a .env file, once its value was checked'))
    .argument('<name>')
    .argument('<value>')
    .action(set);
  withFile(env.command('unset').description('take a variable out of a .env file'))
    .argument('<name>')
    .action(unset);
}

function withFile(command: Command): Command {
  return command.option('--file <path>', 'the file (default: .env)', single);
}

function list(options: Output, fromFile: ReadonlyMap<string, string>): void {
  const all = variables.map((variable) => {
    const value = process.env[variable.name] || null;
    const source = value === null ? 'default' : (fromFile.get(variable.name) ?? 'environment');
    return {
      name: variable.name,
      value: value === null ? variable.default : shown(variable, value),
      source,
      default: variable.default,
      meaning: variable.meaning,
    };
  });
  print({ variables: all }, options, () =>
    table(
      ['variable', 'value', 'from', 'meaning'],
      all.map(({ name, value, source, meaning }) => [name, value ?? '–', source, meaning]),
    ),
  );
}

function check(options: Output): void {
  const wrong = problemsOf(process.env);
  const config = wrong.length === 0 ? readConfig(process.env) : null;
  const problems = config === null ? wrong : packageProblems(config);
  const warnings = config === null ? [] : warningsOf(config);
  print({ ok: problems.length === 0, problems, warnings }, options, () => [
    ...problems.map(({ variable, message }) => `${variable}: ${message}`),
    ...warnings.map(({ variable, message, fix }) => `warning: ${variable}: ${message}; ${fix}`),
    ...(problems.length === 0 ? ['the configuration is right'] : []),
  ]);
  if (problems.length > 0) process.exitCode = exitCodes.configuration;
}

function problemsOf(env: NodeJS.ProcessEnv): ConfigError['problems'] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

function set(name: string, value: string, { file = '.env', ...options }: FileOptions): void {
  const variable = known(name);
  // Checked alone, with a placeholder for DATABASE_URL; `env check` finds problems between variables.
  const alone = { DATABASE_URL: 'postgres://nobody@localhost/none', [name]: value };
  const [problem] = problemsOf(alone).filter((one) => one.variable === name);
  if (problem) throw new UsageError('invalid_value', `${name} ${problem.message}`);
  if (value === '')
    throw new UsageError('invalid_value', `${name}: the value is empty; take it out with env unset`);
  if (/[\r\n]/.test(value)) throw new UsageError('invalid_value', `${name} holds a line break`);
  replaceFile(file, withVariable(read(file), name, value));
  const result = { name, value: shown(variable, value), file };
  print(result, options, () => [`${name}=${result.value} in ${file}`]);
}

function unset(name: string, { file = '.env', ...options }: FileOptions): void {
  known(name);
  const text = read(file);
  const removed = namesIn(text).includes(name);
  if (removed) replaceFile(file, withoutVariable(text, name));
  print({ name, file, removed }, options, () => [
    removed ? `${name} is out of ${file}` : `${name} is not in ${file}`,
  ]);
}

function known(name: string): Variable {
  const variable = variables.find((one) => one.name === name);
  if (variable) return variable;
  const meant = nearest(
    name,
    variables.map((one) => one.name),
  );
  throw new UsageError(
    'unknown_variable',
    `there is no variable ${name}${meant ? `, did you mean ${meant}?` : ''}`,
  );
}

function read(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
