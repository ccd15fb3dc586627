// A line of a process's log, which is JSON, as a developer reads it in a terminal.

import { styleText } from 'node:util';

type Line = Readonly<Record<string, unknown>>;

/** Fields that every line of one process has. */
const always = new Set(['level', 'time', 'role', 'process', 'msg', 'err', 'hostname', 'pid']);
const colours: Readonly<Record<string, 'dim' | 'yellow' | 'red'>> = {
  trace: 'dim',
  debug: 'dim',
  warn: 'yellow',
  error: 'red',
  fatal: 'red',
};

/** @returns the text as it is when it is no line of a log, such as what the application prints itself */
export function readableLine(text: string, { colour }: { readonly colour: boolean }): string {
  const line = parsed(text);
  if (line === undefined) return text;
  const style = (format: 'dim' | 'yellow' | 'red' | undefined, part: string): string =>
    colour && format ? styleText(format, part, { validateStream: false }) : part;
  const level = typeof line['level'] === 'string' ? line['level'] : 'info';
  const fields = Object.entries(line)
    .filter(([name, value]) => !always.has(name) && value !== null)
    .map(([name, value]) => `${name}=${shown(value)}`);
  const first = [
    style('dim', clockOf(line['time'])),
    style(colours[level], `${level.padEnd(5)} ${typeof line['msg'] === 'string' ? line['msg'] : ''}`),
    ...(fields.length > 0 ? [style('dim', fields.join(' '))] : []),
  ];
  return [first.join(' '), ...errorLines(line['err']).map((one) => style('dim', `         ${one}`))].join(
    '\n',
  );
}

function parsed(text: string): Line | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(text) as Line;
    return 'level' in value && 'time' in value ? value : undefined;
  } catch {
    return undefined; // printed by somebody else
  }
}

/** In the developer's time zone. */
function clockOf(time: unknown): string {
  const date = new Date(String(time));
  return Number.isNaN(date.getTime()) ? String(time) : date.toTimeString().slice(0, 8);
}

function shown(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? '';
  return /[\s"=]/.test(value) || value === '' ? JSON.stringify(value) : value;
}

function errorLines(error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return [];
  const { stack, message } = error as { readonly stack?: unknown; readonly message?: unknown };
  const text =
    typeof stack === 'string' ? stack : typeof message === 'string' ? message : JSON.stringify(error);
  return text.split('\n').map((one) => one.trimEnd());
}
