// What commands say: results on stdout, for people as a table, for programs as JSON; talk on stderr. Nothing that came from elsewhere is
// obeyed by a terminal: control characters are shown as escapes.

import { shieldStreams } from '../metrics/output.ts';
import { exitCodes } from '../process/run.ts';
import { hideSecrets } from '../redaction/redact.ts';
import { visibleJson, visibleLine, visibleText } from '../redaction/visible.ts';

export type Output = { readonly json?: boolean };

export function say(line: string): void {
  write(process.stderr, `${visibleText(hideSecrets(line))}\n`);
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
  const text = json ? visibleJson(JSON.stringify(value, null, 2)) : visibleText(lines(value).join('\n'));
  if (text !== '') write(process.stdout, `${text}\n`);
}

/** Columns as wide as their widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows.map((row) => row.map(visibleLine))];
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
  return line.length > length ? `${line.slice(0, length - 1).toWellFormed()}…` : line;
}

type Stream = NodeJS.WriteStream & { write: NodeJS.WriteStream['write'] };

/** How stdout is written to, when it is kept for the result alone. */
const kept = new WeakMap<Stream, Stream['write']>();

function write(stream: Stream, text: string): void {
  (kept.get(stream) ?? stream.write.bind(stream))(text);
}

/**
 * Stdout is for one JSON document: whatever else writes there, a provider that shows mails or the application's own `console.log`, goes to
 * stderr.
 */
export function keepStdoutForResult(): void {
  const { stdout, stderr } = process;
  if (kept.has(stdout)) return;
  kept.set(stdout, stdout.write.bind(stdout));
  stdout.write = stderr.write.bind(stderr) as Stream['write'];
}
