// The journal of a run: the lines of all processes, read as they are written.

import { closeSync, openSync, readSync } from 'node:fs';
import type { Line } from './work.ts';
import type { Launch, Member } from './processes.ts';

export type Entry = Line & { readonly launch: Launch };

export type Journal = {
  readonly entries: readonly Entry[];
  /** Reads what was written since the last time. */
  read(): void;
};

export function journalOf(members: readonly Member[]): Journal {
  const entries: Entry[] = [];
  const places = new Map<string, { offset: number; rest: string }>();

  function readOne(launch: Launch): void {
    const place = places.get(launch.journal) ?? { offset: 0, rest: '' };
    places.set(launch.journal, place);
    const text = place.rest + textFrom(launch.journal, place);
    const lines = text.split('\n');
    place.rest = lines.pop()!;
    for (const line of lines) entries.push({ ...(JSON.parse(line) as Line), launch });
  }

  return {
    entries,
    read() {
      for (const { launches } of members) for (const launch of launches) readOne(launch);
    },
  };
}

function textFrom(path: string, place: { offset: number }): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return ''; // it has done no work yet
  }
  try {
    const parts: Buffer[] = [];
    for (const block = Buffer.alloc(1 << 16); ;) {
      const n = readSync(file, block, 0, block.length, place.offset);
      if (n === 0) return Buffer.concat(parts).toString('utf8');
      place.offset += n;
      parts.push(Buffer.from(block.subarray(0, n)));
    }
  } finally {
    closeSync(file);
  }
}
