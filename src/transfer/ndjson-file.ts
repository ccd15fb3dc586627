// Writes exported messages as lines of JSON, to a file or to stdout. A batch is on the disk before its messages are cancelled.

import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { WaybillError } from '../errors.ts';
import type { Receiver } from './export.ts';
import type { Line } from './ndjson.ts';
import type { Waiting } from './waiting-messages.ts';

export function lineOf(message: Waiting): string {
  const { tags, ...rest } = message;
  return `${JSON.stringify({ waybill: 1, ...rest, tags: [...tags] } satisfies Line)}\n`;
}

/** @param note of the messages, where they leave */
export function streamReceiver(write: (text: string) => Promise<void>, note: string): Receiver {
  return {
    async take(messages) {
      await write(messages.map(lineOf).join(''));
      return messages.map(({ id }) => ({ id, note }));
    },
  };
}

export type LineFile = { write(text: string): Promise<void>; close(): void };

/**
 * Opens the file of an export.
 * @param appends it goes on with the file of an interrupted export, whose last line may be cut
 * @throws WaybillError `export_file_exists`
 */
export function openLineFile(path: string, appends: boolean): LineFile {
  const file = openNew(path, appends);
  if (appends) ftruncateSync(file, endOfLines(file));
  return {
    async write(text) {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
      fsyncSync(file);
    },
    close: () => closeSync(file),
  };
}

function openNew(path: string, appends: boolean): number {
  try {
    return openSync(path, appends ? 'a+' : 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new WaybillError(
      'export_file_exists',
      `the file ${path} exists: name another one, or go on with it by --append`,
    );
  }
}

const chunk = 65_536;

/** The place behind the last whole line. */
function endOfLines(file: number): number {
  const bytes = Buffer.alloc(chunk);
  for (let end = fstatSync(file).size; end > 0;) {
    const start = Math.max(0, end - chunk);
    const length = readSync(file, bytes, 0, end - start, start);
    const found = bytes.subarray(0, length).lastIndexOf(10);
    if (found >= 0) return start + found + 1;
    end = start;
  }
  return 0;
}
