// The output of log lines to stdout or stderr. A line that cannot be written is counted and dropped. A full disk, a reader that went away and a
// reader that never reads must not stop the work or the exit of the process.

import { fstatSync, write, writeSync } from 'node:fs';
import type { Milliseconds } from '../ports.ts';

export type Descriptor = 1 | 2;

export type Output = {
  /** Writes one line that ends in a line break. Never throws and never waits. */
  write(line: string): void;
  /** Writes the remaining lines without waiting for a reader. */
  flushSync(): void;
  /** Resolves when nothing is left to write, or after this time. */
  drained(ms: Milliseconds): Promise<void>;
};

/** Why lines were lost: the code of the error, or `full` when the buffer was full. */
export type Lost = (lines: number, reason: string) => void;

/** Maximum number of bytes that wait for a reader or a disk; later lines are dropped. */
const most = 4 * 1024 * 1024;

const listeners = new Set<Lost>();

/** @returns a function that stops listening */
export function onLinesLost(listener: Lost): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

const lose: Lost = (lines, reason) => {
  for (const listener of listeners) listener(lines, reason);
};

let isShielded = false;

/** From now on, errors of stdout and stderr do not end the process, whether from our lines or from a handler's console.log. */
export function shieldStreams(): void {
  if (isShielded) return;
  isShielded = true;
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

const outputs: { 1?: Output; 2?: Output } = {};

/** One output for all lines that this process writes there. */
export function outputTo(descriptor: Descriptor): Output {
  return (outputs[descriptor] ??= together(
    isFile(descriptor) ? fileSink(descriptor) : streamSink(descriptor),
  ));
}

/** A file, or a device such as /dev/null and /dev/full. */
function isFile(descriptor: Descriptor): boolean {
  try {
    const stat = fstatSync(descriptor);
    return (
      stat.isFile() ||
      (stat.isCharacterDevice() && !(descriptor === 1 ? process.stdout : process.stderr).isTTY)
    );
  } catch {
    return true; // it is closed: each write fails with that error
  }
}

type Sink = {
  /** Takes whole lines; returns `false` when it has no room for them. */
  take(text: string): boolean;
  flushSync(): void;
  isEmpty(): boolean;
};

/** Writes the lines of one turn of the event loop together instead of one by one. The rest is written when the process exits. */
function together(sink: Sink): Output {
  let lines: string[] = [];
  function handOver(): void {
    const taken = lines;
    lines = [];
    if (taken.length > 0 && !sink.take(taken.join(''))) lose(taken.length, 'full');
  }
  function flushSync(): void {
    handOver();
    sink.flushSync();
  }
  process.once('exit', flushSync);
  return {
    write(line) {
      if (lines.push(line) === 1) setImmediate(handOver);
    },
    flushSync,
    async drained(ms) {
      handOver();
      const deadline = performance.now() + ms;
      while (!sink.isEmpty() && performance.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, 10));
    },
  };
}

/** A pipe, a socket or a terminal. Node writes to pipes without blocking, and buffers what does not fit. */
function streamSink(descriptor: Descriptor): Sink {
  shieldStreams();
  const stream = descriptor === 1 ? process.stdout : process.stderr;
  return {
    take(text) {
      if (stream.writableLength > most) return false;
      stream.write(text, (error) => {
        if (error) lose(linesIn(text), codeOf(error));
      });
      return true;
    },
    flushSync: () => undefined, // the part that fits into the pipe was already written
    isEmpty: () => stream.writableLength === 0,
  };
}

/** A file: one write at a time, off the event loop, because a disk may be slow. */
// oxlint-disable-next-line max-lines-per-function -- methods over one file descriptor
function fileSink(descriptor: Descriptor): Sink {
  let waiting: string[] = [];
  let bytes = 0;
  let isWriting = false;

  function next(): void {
    if (waiting.length === 0) return;
    const text = takeAll();
    isWriting = true;
    put(Buffer.from(text), (error) => {
      isWriting = false;
      if (error) lose(linesIn(text), codeOf(error));
      next();
    });
  }

  function put(buffer: Buffer, done: (error: Error | null) => void): void {
    write(descriptor, buffer, (error, written) => {
      if (error || written >= buffer.length) return done(error);
      put(buffer.subarray(written), done);
    });
  }

  function takeAll(): string {
    const text = waiting.join('');
    waiting = [];
    bytes = 0;
    return text;
  }

  return {
    take(text) {
      if (bytes > most) return false;
      waiting.push(text);
      bytes += text.length;
      if (!isWriting) next();
      return true;
    },
    flushSync() {
      const text = takeAll();
      try {
        let rest = Buffer.from(text);
        while (rest.length > 0) rest = rest.subarray(writeSync(descriptor, rest));
      } catch (error) {
        lose(linesIn(text), codeOf(error));
      }
    },
    isEmpty: () => !isWriting && waiting.length === 0,
  };
}

const linesIn = (text: string): number => text.split('\n').length - 1;

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : 'unknown';
}
