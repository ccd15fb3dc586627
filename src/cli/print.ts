// What commands say: results on stdout, for people as a table, for programs as JSON; talk on stderr.

import { shieldStreams } from '../metrics/output.ts';
import { exitCodes } from '../process/run.ts';

export type Output = { readonly json?: boolean };

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A result that could not be written is a failure of the command; a reader that has read enough (`| head -1`) is none. */
export function watchResult(): void {
  shieldStreams();
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') return;
    say(`waybill: the result could not be written: ${message}`);
    process.once('exit', () => (process.exitCode = exitCodes.failed)); // whatever the command sets until then
  });
}

/** With `--json` the value itself, one document; else what `lines` makes of it. */
export function print<T>(value: T, { json }: Output, lines: (value: T) => readonly string[]): void {
  const text = json ? JSON.stringify(value, null, 2) : lines(value).join('\n');
  if (text !== '') process.stdout.write(`${text}\n`);
}

/** Columns as wide as their widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** A message's error or another long text, on one short line. */
export function short(text: string | null | undefined, length = 60): string {
  const line = (text ?? '').replaceAll(/\s+/g, ' ').trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}
