// The file of an export: how it is begun, gone on with and given up, and which bytes are lines. Real: the file system. Doubled: nothing.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createRegistry } from '../../src/define/registry.ts';
import { readImportMap } from '../../src/transfer/import-map.ts';
import { openLineFile } from '../../src/transfer/ndjson-file.ts';
import { ndjsonSource, type Line } from '../../src/transfer/ndjson.ts';
import type { Place } from '../../src/transfer/source.ts';
import app from '../support/import-app.ts';

const folder = mkdtempSync(join(tmpdir(), 'waybill-lines-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const path = (): string => join(folder, `${(files += 1)}.ndjson`);
function file(content: string | Buffer): string {
  const its = path();
  writeFileSync(its, content);
  return its;
}

const line = (more: Partial<Line> = {}): string =>
  JSON.stringify({
    waybill: 1,
    id: 'u1',
    kind: 'job',
    name: 'receipt',
    queue: 'jobs',
    payload: { n: 1 },
    status: 'pending',
    attempts: 0,
    maxAttempts: 10,
    priority: 0,
    availableAt: '2026-01-01T00:00:00Z',
    deliveryKey: null,
    group: null,
    orderKey: null,
    tags: [],
    requestId: null,
    createdAt: '2026-01-01T00:00:00Z',
    ...more,
  } satisfies Line);

describe('--append', () => {
  async function append(to: string, text: string): Promise<number> {
    const { cut, write, close } = openLineFile(to, true);
    await write(`${text}\n`);
    close(true);
    return cut;
  }

  it.each([
    ['ends in a newline', `${line()}\n`],
    ['has no newline at the end', line()],
    ['has a byte order mark and no newline at the end', `\uFEFF${line()}`],
  ])('goes on with a file that %s: its last line stays', async (_, before) => {
    const to = file(before);
    expect(await append(to, line({ id: 'u2' }))).toBe(0);
    expect(readFileSync(to, 'utf8')).toBe(`${before.trimEnd()}\n${line({ id: 'u2' })}\n`);
  });

  it('begins a file that is not there, and one that is empty', async () => {
    for (const to of [path(), file('')]) {
      expect(await append(to, line())).toBe(0);
      expect(readFileSync(to, 'utf8')).toBe(`${line()}\n`);
    }
  });

  it.each([1, 5, 13, 100])('cuts half a line of %d bytes, and says how much', async (length) => {
    const half = line({ id: 'u2' }).slice(0, length);
    const to = file(`${line()}\n${half}`);
    expect(await append(to, line({ id: 'u3' }))).toBe(length);
    expect(readFileSync(to, 'utf8')).toBe(`${line()}\n${line({ id: 'u3' })}\n`);
  });

  it.each([
    ['text', 'one precious line'],
    ['lines of text', 'a\nb\n'],
    ['other JSON', '{"a":1}\n'],
    ['another version', '{"waybill":2,"id":"a"}\n'],
    ['an export that ends in text', `${line()}\nnotes`],
    ['an export that ends in other JSON', `${line()}\n{"waybill":1,"id":"a"}`],
  ])('refuses %s, and changes nothing', (_, content) => {
    const to = file(content);
    expect(() => openLineFile(to, true)).toThrow(
      expect.objectContaining({ code: 'export_file_foreign' }) as Error,
    );
    expect(readFileSync(to, 'utf8')).toBe(content);
  });
});

describe('a new file', () => {
  it('goes when the export fails before its first line, and stays otherwise', async () => {
    for (const [isDone, text] of [
      [false, ''],
      [false, 'a\n'],
      [true, ''],
    ] as const) {
      const its = path();
      const { write, close } = openLineFile(its, false);
      if (text !== '') await write(text);
      close(isDone);
      expect(existsSync(its)).toBe(isDone || text !== '');
    }
  });

  it.each([
    ['in a folder that is not there', join(folder, 'none', 'a'), /make the folder first/],
    ['that is a folder', folder, /it is a folder/],
  ])('%s is refused with advice', (_, its, message) => {
    expect(() => openLineFile(its, true)).toThrow(
      expect.objectContaining({
        code: 'export_file_unwritable',
        message: expect.stringMatching(message) as string,
      }) as Error,
    );
  });
});

describe('reading', () => {
  /** The ids and places of all pages. */
  async function pagesOf(its: string, limit: number): Promise<string[][]> {
    const source = ndjsonSource(its);
    const { queues } = await source.survey();
    const pages: string[][] = [];
    let after: Place | undefined;
    do {
      const { jobs, next } = await source.read({ queues, failed: false, after, limit });
      pages.push(jobs.map(({ id }) => id));
      after = next;
    } while (after !== undefined);
    return pages;
  }

  it.each(['\n', ''])('goes on behind each page, with %j at the end', async (end) => {
    const ids = ['u1', 'ü2', 'u3', 'u4'];
    const its = file(`\uFEFF${ids.map((id) => line({ id, payload: 'ä😀' })).join('\r\n')}${end}`);
    for (const limit of [1, 2, 3, 4, 5]) expect((await pagesOf(its, limit)).flat()).toEqual(ids);
    expect((await pagesOf(its, 2)).slice(0, 2)).toEqual([
      ['u1', 'ü2'],
      ['u3', 'u4'],
    ]);
  });

  it('makes a page smaller where lines are long', async () => {
    const text = 'x'.repeat(1_048_576);
    const its = file(
      Array.from({ length: 10 }, (_, n) => `${line({ id: `u${n}`, payload: { text } })}\n`).join(''),
    );
    expect((await pagesOf(its, 500)).map(({ length }) => length)).toEqual([8, 2]);
  });

  it('keeps a number that JavaScript cannot hold', async () => {
    const its = file(line({ payload: 'N' }).replace('"N"', '{"id":9007199254740993}'));
    const source = ndjsonSource(its);
    const walk = { ...(await source.survey()), failed: false, after: undefined, limit: 1 };
    expect((await source.read(walk)).jobs).toMatchObject([{ json: '{"id":9007199254740993}' }]);
  });

  it('names the line that is not UTF-8', async () => {
    const latin1 = Buffer.from(`${line({ id: 'u2', payload: 'Grüße' })}\n`, 'latin1');
    const its = file(Buffer.concat([Buffer.from(`${line({ payload: 'Grüße' })}\n`), latin1]));
    await expect(ndjsonSource(its).survey()).rejects.toMatchObject({
      code: 'invalid_line',
      message: expect.stringMatching(/line 2 .*not UTF-8/) as string,
    });
  });

  it('skips a byte order mark, of a map too, and reads lines longer than a chunk', async () => {
    const text = 'ä\u2028'.repeat(100_000);
    const its = file(`\uFEFF${line()}\r\n\n${line({ id: 'u2', payload: { text } })}`);
    const { jobs } = await ndjsonSource(its).read({
      queues: (await ndjsonSource(its).survey()).queues,
      failed: false,
      after: undefined,
      limit: 10,
    });
    expect(jobs.map(({ id, json }) => [id, json])).toEqual([
      ['u1', '{"n":1}'],
      ['u2', JSON.stringify({ text })],
    ]);
    expect(readImportMap(file('\uFEFF{"queues":{}}'), createRegistry(app.app))).toEqual({ queues: {} });
  });
});
