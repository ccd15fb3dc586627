// When each delivery began and ended, read from the logs of the processes, because the database forgets a claim when it is settled.

import { existsSync, openSync, readdirSync, readSync, closeSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Milliseconds after the message was recorded. */
export type Attempt = { readonly claimedMs: number; readonly deliveredMs: number };

export type AttemptLog = {
  /** Undefined until the line is written. */
  attempt(messageId: string): Attempt | undefined;
  forget(messageId: string): void;
  /** Reads what was written since the last call. */
  read(): void;
};

export function createAttemptLog(dir: string): AttemptLog {
  const positions = new Map<string, { offset: number; rest: string }>();
  const found = new Map<string, Attempt>();

  function readFile(path: string): void {
    const position = positions.get(path) ?? { offset: 0, rest: '' };
    const size = statSync(path).size;
    if (size <= position.offset) return;
    const buffer = Buffer.alloc(size - position.offset);
    const file = openSync(path, 'r');
    const count = readSync(file, buffer, 0, buffer.length, position.offset);
    closeSync(file);
    const lines = (position.rest + buffer.toString('utf8', 0, count)).split('\n');
    positions.set(path, { offset: position.offset + count, rest: lines.pop() ?? '' });
    for (const line of lines) remember(line);
  }

  function remember(line: string): void {
    const attempt = delivered(line);
    if (attempt) found.set(attempt.id, attempt);
  }

  return {
    attempt: (id) => found.get(id),
    forget: (id) => void found.delete(id),
    read() {
      if (!existsSync(dir)) return;
      for (const name of readdirSync(dir)) if (name.endsWith('.log')) readFile(join(dir, name));
    },
  };
}

/** The line of a delivered attempt, among other lines and mail as plain text. */
function delivered(line: string): (Attempt & { id: string }) | undefined {
  if (!line.startsWith('{') || !line.includes('"endToEndSeconds"')) return undefined;
  try {
    const { message, seconds, endToEndSeconds } = JSON.parse(line) as Record<string, unknown>;
    if (typeof message !== 'string' || typeof seconds !== 'number' || typeof endToEndSeconds !== 'number')
      return undefined;
    const deliveredMs = Math.round(endToEndSeconds * 1000);
    return { id: message, claimedMs: Math.max(0, deliveredMs - Math.round(seconds * 1000)), deliveredMs };
  } catch {
    return undefined; // a line of a mail that looks like JSON
  }
}
