// Output of commands: results on stdout, as a table or as JSON, and everything else on stderr. Control characters are escaped, so that a terminal
// obeys no text from elsewhere.

import { shieldStreams } from '../metrics/output.ts';
import { exitCodes } from '../process/run.ts';
import { hideSecrets } from '../redaction/redact.ts';
import { visibleJson, visibleLine, visibleText } from '../redaction/visible.ts';

export type Output = { readonly json?: boolean };

export function say(line: string): void {
  write(process.stderr, `${visibleText(hideSecrets(line))}\n`);
}

/** A link with a token that the person is to use: what looks like a secret in it is shown. */
export function sayLink(line: string): void {
  write(process.stderr, `${line}\n`);
}

/** A result that cannot be written fails the command. A reader that closes the pipe early (`| head -1`) does not. */
export function watchResult(): void {
  shieldStreams();
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') return;
    say(`waybill: the result could not be written: ${message}`);
    process.once('exit', () => (process.exitCode = exitCodes.failed)); // replaces the code that the command sets until then
  });
}

/** With `--json`, the value as one document; otherwise as `lines`. */
export function print<T>(value: T, { json }: Output, lines: (value: T) => readonly string[]): void {
  const text = json ? visibleJson(JSON.stringify(value, null, 2)) : visibleText(lines(value).join('\n'));
  if (text !== '') write(process.stdout, `${text}\n`);
}

/** Lines that are the result themselves, as they are. It waits for a reader that is slow. */
export function writeLines(text: string): Promise<void> {
  return new Promise((resolve) => void process.stdout.write(text, () => resolve()));
}

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

/** The original `write` of stdout, while stdout is reserved for the result. */
const kept = new WeakMap<Stream, Stream['write']>();

function write(stream: Stream, text: string): void {
  (kept.get(stream) ?? stream.write.bind(stream))(text);
}

/**
 * Reserves stdout for one JSON document. Other output goes to stderr, such as that of a provider that shows mails or of the application's own
 * `console.log`.
 */
export function keepStdoutForResult(): void {
  const { stdout, stderr } = process;
  if (kept.has(stdout)) return;
  kept.set(stdout, stdout.write.bind(stdout));
  stdout.write = stderr.write.bind(stderr) as Stream['write'];
}

/** @param one what is counted, in the singular */
export const counted = (n: number, one: string, several = `${one}s`): string =>
  `${n} ${n === 1 ? one : several}`;
