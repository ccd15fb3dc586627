// Writes exported messages as lines of JSON, to a file or to stdout. A batch is on the disk before its messages are cancelled.

import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { WaybillError } from '../errors.ts';
import type { Receiver } from './export.ts';
import { toFile } from './known-lines.ts';
import { isLine, type Line } from './ndjson.ts';
import type { Waiting } from './waiting-messages.ts';

export function lineOf(message: Waiting): string {
  const { tags, ...rest } = message;
  return `${JSON.stringify({ waybill: 1, ...rest, tags: [...tags] } satisfies Line)}\n`;
}

/** How each line begins. */
const begin = '{"waybill":1,';

/** @param by who exports, for the note of each message that leaves */
export function streamReceiver(write: (text: string) => Promise<void>, by: string): Receiver {
  return {
    async take(messages) {
      await write(messages.map(lineOf).join(''));
      return messages.map(({ id }) => ({ id, note: `${toFile}, ${by}` }));
    },
  };
}

export type LineFile = {
  /** Bytes of half a line that were cut off the end. */
  readonly cut: number;
  write(text: string): Promise<void>;
  /** @param isDone false: the export failed; a new file without a line is removed */
  close(isDone: boolean): void;
};

/**
 * Opens the file of an export.
 * @param appends it goes on with the file of an interrupted export, whose last line may be cut
 * @throws WaybillError `export_file_exists`, `export_file_foreign`, `export_file_unwritable`
 */
export function openLineFile(path: string, appends: boolean): LineFile {
  const isNew = !existsSync(path);
  const file = openNew(path, appends);
  let written = 0;
  const write = (text: string): void => {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    written += bytes.length;
  };
  try {
    const cut = appends ? endWithLine(file, path, write) : 0;
    return {
      cut,
      async write(text) {
        try {
          write(text);
          fsyncSync(file);
        } catch (error) {
          throw unwritable(path, error);
        }
      },
      close(isDone) {
        closeSync(file);
        if (isNew && !isDone && written === 0) rmSync(path, { force: true });
      },
    };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function openNew(path: string, appends: boolean): number {
  try {
    return openSync(path, appends ? 'a+' : 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw unwritable(path, error);
    throw new WaybillError(
      'export_file_exists',
      `the file ${path} exists: name another one, or go on with it by --append`,
    );
  }
}

const advice: Readonly<Record<string, string>> = {
  ENOENT: 'its folder does not exist: make the folder first',
  ENOTDIR: 'its folder is a file: name a file in a folder',
  EISDIR: 'it is a folder: name a file in it',
  EACCES: 'this user may not write there: name another file',
  ENOSPC: 'the disk is full: make room, and run the same command with --append',
};

function unwritable(path: string, error: unknown): WaybillError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return new WaybillError(
    'export_file_unwritable',
    `the file ${path} cannot be written: ${advice[code] ?? message}`,
  );
}

const chunk = 65_536;

function bytesAt(file: number, start: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let at = 0;
  for (let read = 1; at < length && read > 0; at += read)
    read = readSync(file, bytes, at, length - at, start + at);
  return bytes.subarray(0, at);
}

/** Without a byte order mark, which an editor may have put there. */
const textAt = (file: number, start: number, length: number): string =>
  bytesAt(file, start, length)
    .toString('utf8')
    .replace(/^\uFEFF/, '');

/**
 * Sees that the next line begins on a line of its own. The message of a last line without a newline may be cancelled already, so a whole one is kept.
 * @returns the bytes of half a line that were cut off
 * @throws WaybillError `export_file_foreign`
 */
function endWithLine(file: number, path: string, write: (text: string) => void): number {
  const { size } = fstatSync(file);
  if (size === 0) return 0;
  if (!mayBegin(textAt(file, 0, Math.min(size, 32)))) throw foreign(path);
  const end = endOfLines(file, size);
  const last = textAt(file, end, size - end);
  if (last === '') return 0;
  if (last.trim() === '' || isLine(last)) {
    write('\n');
    return 0;
  }
  if (isJson(last) || !mayBegin(last)) throw foreign(path);
  ftruncateSync(file, end);
  return size - end;
}

/** Whether the text begins like a line, or is too short to tell. */
const mayBegin = (text: string): boolean => text.startsWith(begin) || begin.startsWith(text);

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function foreign(path: string): WaybillError {
  return new WaybillError(
    'export_file_foreign',
    `the file ${path} is no export, and was not changed: --append goes on with a file that waybill export wrote`,
  );
}

/** The place behind the last newline. */
function endOfLines(file: number, size: number): number {
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunk);
    const found = bytesAt(file, start, end - start).lastIndexOf(10);
    if (found >= 0) return start + found + 1;
    end = start;
  }
  return 0;
}
