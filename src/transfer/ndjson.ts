// Messages as lines of JSON: the form of `waybill export --format ndjson`, and a source of an import.

import { createReadStream } from 'node:fs';
import { z } from 'zod';
import { WaybillError } from '../errors.ts';
import { kinds } from '../message/message.ts';
import type { ImportMap } from './import-map.ts';
import {
  nothingHeld,
  type Page,
  type Source,
  type SourceJob,
  type SourceQueue,
  type Survey,
  type Walk,
} from './source.ts';

/** One line: all that a message needs to be recorded elsewhere. Times are ISO 8601. */
export const line = z.object({
  waybill: z.literal(1),
  id: z.string().min(1).max(200),
  kind: z.enum(kinds),
  name: z.string(),
  queue: z.string(),
  payload: z.unknown(),
  status: z.string(),
  attempts: z.int().min(0),
  maxAttempts: z.int().min(1),
  priority: z.int().min(-1_000).max(1_000),
  availableAt: z.string(),
  deliveryKey: z.string().nullable(),
  group: z.string().nullable(),
  orderKey: z.string().nullable(),
  tags: z.array(z.string()),
  requestId: z.string().nullable(),
  createdAt: z.string(),
  /** Of a message with an order key. Lines of earlier versions do not have it. */
  onDead: z.enum(['block', 'skip']).nullish(),
  /** The payload was sealed, and the export opened it. */
  sensitive: z.literal(true).optional(),
  keep: z.boolean().optional(),
});
export type Line = z.infer<typeof line>;

/** Whether the text is one whole line. */
export function isLine(text: string): boolean {
  try {
    return line.safeParse(JSON.parse(text)).success;
  } catch {
    return false;
  }
}

type Numbered = { readonly job: SourceJob; readonly at: number };

/** A file of such lines. It is only read: an import that runs again finds the messages that it recorded by their keys. */
export function ndjsonSource(file: string): Source {
  let cached: Promise<readonly Numbered[]> | undefined;
  const all = (): Promise<readonly Numbered[]> => (cached ??= readLines(file));
  async function page({ queues, after, limit, failed }: Walk): Promise<Page> {
    if (failed) return { jobs: [], next: undefined };
    const start = Number(after?.['line'] ?? 0);
    const wanted = new Set(queues.map(({ queue }) => queue));
    const lines = (await all()).slice(start, start + limit);
    const jobs = lines.map(({ job }) => job).filter(({ queue }) => wanted.has(queue));
    return { jobs, next: lines.length < limit ? undefined : { line: start + limit } };
  }
  return {
    name: 'ndjson',
    async survey() {
      const byQueue = Map.groupBy(await all(), ({ job }) => job.queue);
      const queues = [...byQueue].map(([queue, its]): SourceQueue => {
        return { queue, within: its[0]!.job.within, pending: its.length, inFlight: 0, failed: 0, inFlows: 0 };
      });
      return { version: 'lines of waybill export, version 1', queues, schedules: [], held: 0 };
    },
    read: page,
    async move(walk, handling) {
      const { jobs, next } = await page(walk);
      await handling.record(await handling.choose(jobs), undefined);
      return { read: jobs.length, left: 0, next };
    },
    resume: nothingHeld,
    close: async () => undefined,
  };
}

/** Exported messages keep their kinds, names and queues: a row for each. */
export function lineMap({ queues }: Pick<Survey, 'queues'>): ImportMap {
  const rows = queues.map(({ queue }) => {
    const kind = kinds.find((one) => one === queue.split('/')[0])!;
    const name = kind === 'email' ? undefined : queue.slice(kind.length + 1);
    return [queue, { kind, name, key: 'own', attempts: 'source' }] as const;
  });
  return { queues: Object.fromEntries(rows) };
}

/** @throws WaybillError `invalid_line`, `source_not_found` */
async function readLines(file: string): Promise<Numbered[]> {
  // Another decoder would put U+FFFD in place of bytes that are no character. A byte order mark is skipped.
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const lines: Numbered[] = [];
  let at = 0;
  for await (const bytes of linesOf(file)) {
    at += 1;
    const text = decoded(decoder, bytes);
    if (text === undefined) throw bad(file, at, 'it is not UTF-8');
    if (text.trim() !== '') lines.push({ at, job: jobOf(text, file, at) });
  }
  return lines;
}

function decoded(decoder: InstanceType<typeof TextDecoder>, bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Node's readline also ends a line at U+2028, which JSON may hold. */
async function* linesOf(file: string): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(file)) {
      let start = 0;
      for (let end: number; (end = (chunk as Buffer).indexOf(10, start)) >= 0; start = end + 1) {
        yield Buffer.concat([...parts, (chunk as Buffer).subarray(start, end)]);
        parts = [];
      }
      parts.push((chunk as Buffer).subarray(start));
    }
  } catch (error) {
    if (error instanceof WaybillError) throw error;
    throw new WaybillError(
      'source_not_found',
      `the file ${file} cannot be read: ${(error as Error).message}`,
    );
  }
  yield Buffer.concat(parts);
}

/** @throws WaybillError `invalid_line` */
export function jobOf(text: string, file: string, at: number): SourceJob {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw bad(file, at, 'it is no JSON');
  }
  const read = line.safeParse(json);
  if (!read.success)
    throw bad(file, at, read.error.issues.map(({ path }) => path.join('.') || 'it').join(', '));
  const { data } = read;
  const { kind, name, deliveryKey, group, orderKey, tags, payload } = data;
  const { queue, requestId, onDead, sensitive, keep } = data;
  return {
    id: data.id,
    queue: kind === 'email' ? kind : `${kind}/${name}`,
    within: kind,
    json: JSON.stringify(payload ?? null),
    dueAt: data.availableAt,
    priority: data.priority,
    attemptsLeft: Math.max(1, data.maxAttempts - data.attempts),
    ...(deliveryKey !== null && { key: deliveryKey }),
    ...(group !== null && { group }),
    ...(orderKey !== null && { orderKey }),
    ...(tags.length > 0 && { tags }),
    exported: {
      kind,
      name,
      queue,
      ...(requestId !== null && { requestId }),
      ...(onDead != null && { onDead }),
      ...(sensitive && { sensitive, keep: keep ?? true }),
    },
  };
}

function bad(file: string, at: number, what: string): WaybillError {
  return new WaybillError('invalid_line', `line ${at} of ${file} is no exported message: wrong: ${what}`);
}
