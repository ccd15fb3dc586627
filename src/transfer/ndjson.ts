// Messages as lines of JSON: the form of `waybill export --format ndjson`, and a source of an import.

import { createReadStream } from 'node:fs';
import { z } from 'zod';
import { WaybillError } from '../errors.ts';
import { kinds } from '../message/message.ts';
import { batchBytes } from './batch-bytes.ts';
import { parseKeeping } from './exact-json.ts';
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

/**
 * A file of such lines. It is only read, and never whole in memory: an import that runs again finds the messages that it recorded by their keys.
 */
export function ndjsonSource(file: string): Source {
  let surveyed: Promise<Survey> | undefined;
  return {
    name: 'ndjson',
    survey: () => (surveyed ??= surveyOf(file)),
    read: (walk) => pageOf(file, walk),
    async move(walk, handling) {
      const { jobs, next } = await pageOf(file, walk);
      await handling.record(await handling.choose(jobs), undefined);
      return { read: jobs.length, left: 0, next };
    },
    resume: nothingHeld,
    close: async () => undefined,
  };
}

/** Reads the file once, and sees that each line is one. @throws WaybillError `invalid_line`, `source_not_found` */
async function surveyOf(file: string): Promise<Survey> {
  const queues = new Map<string, SourceQueue>();
  for await (const { job } of readLines(file, start)) {
    if (job === undefined) continue;
    const { queue, within } = job;
    const { pending = 0 } = queues.get(queue) ?? {};
    queues.set(queue, { queue, within, pending: pending + 1, inFlight: 0, failed: 0, inFlows: 0 });
  }
  return {
    version: 'lines of waybill export, version 1',
    queues: [...queues.values()],
    schedules: [],
    held: 0,
  };
}

/** The next lines, as far as they have not too many bytes together. */
async function pageOf(file: string, { queues, after, limit, failed }: Walk): Promise<Page> {
  if (failed) return { jobs: [], next: undefined };
  const wanted = new Set(queues.map(({ queue }) => queue));
  const from = (after ?? start) as Start;
  const jobs: SourceJob[] = [];
  let read = 0;
  for await (const { job, next } of readLines(file, from)) {
    if (job !== undefined && wanted.has(job.queue)) jobs.push(job);
    read += 1;
    if (read >= limit || next.offset - from.offset >= batchBytes) return { jobs, next };
  }
  return { jobs, next: undefined };
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

/** A place in the file: the bytes and the lines before it. */
type Start = { readonly offset: number; readonly line: number };

const start: Start = { offset: 0, line: 0 };

type ReadLine = {
  /** Undefined: the line is empty. */
  readonly job: SourceJob | undefined;
  /** The place behind it. */
  readonly next: Start;
};

/** @throws WaybillError `invalid_line`, `source_not_found` */
async function* readLines(file: string, from: Start): AsyncGenerator<ReadLine> {
  // Another decoder would put U+FFFD in place of bytes that are no character. A byte order mark is skipped.
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let next = from;
  for await (const bytes of linesOf(file, from.offset)) {
    next = { offset: next.offset + bytes.length + 1, line: next.line + 1 };
    const text = decoded(decoder, bytes);
    if (text === undefined) throw bad(file, next.line, 'it is not UTF-8');
    yield { job: text.trim() === '' ? undefined : jobOf(text, file, next.line), next };
  }
}

function decoded(decoder: InstanceType<typeof TextDecoder>, bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Node's readline also ends a line at U+2028, which JSON may hold. */
async function* linesOf(file: string, offset: number): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(file, { start: offset })) {
      let begin = 0;
      for (let end: number; (end = (chunk as Buffer).indexOf(10, begin)) >= 0; begin = end + 1) {
        yield Buffer.concat([...parts, (chunk as Buffer).subarray(begin, end)]);
        parts = [];
      }
      parts.push((chunk as Buffer).subarray(begin));
    }
  } catch (error) {
    if (error instanceof WaybillError) throw error;
    throw new WaybillError(
      'source_not_found',
      `the file ${file} cannot be read: ${(error as Error).message}`,
    );
  }
  const last = Buffer.concat(parts);
  if (last.length > 0) yield last;
}

/** @throws WaybillError `invalid_line` */
export function jobOf(text: string, file: string, at: number): SourceJob {
  let json: unknown;
  try {
    json = parseKeeping(text);
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
