// What an import decides about one job: the code of a misfit, without any value of its payload, and the order key that it blocks. Real: the judgement
// and the schemas. Doubled: the source, whose jobs are made here.

import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createRegistry } from '../../src/define/registry.ts';
import { defineJob, defineOutboxRegistry } from '../../src/index.ts';
import { judge, orderOf } from '../../src/transfer/judge.ts';
import type { SourceJob } from '../../src/transfer/source.ts';

const job = (name: string, payload: z.ZodType) => defineJob({ name, payload, async handler() {} });
const strict = z.string().refine((text): boolean => {
  throw new TypeError(`no colour: ${text}`);
});
const codec = z.codec(z.string(), z.string(), {
  decode(text): string {
    throw new Error(`cannot decode ${text}`);
  },
  encode: (text) => text,
});
const registry = createRegistry(
  defineOutboxRegistry({
    jobs: [job('any', z.unknown()), job('strict', z.object({ a: strict })), job('codec', codec)],
  }).app,
);

const given = (more: Partial<SourceJob>): SourceJob => ({
  id: '1',
  queue: 'q',
  json: '{}',
  dueAt: '2026-11-30T12:00:00Z',
  priority: 0,
  attemptsLeft: 1,
  ...more,
});
const judged = (name: string, json: string) =>
  judge(given({ json }), {
    source: 'bullmq',
    map: { queues: { q: { kind: 'job', name, key: 'id', attempts: 'source' } } },
    registry,
    maxPayloadBytes: 262_144,
    emailFrom: null,
  });

describe('a misfit', () => {
  it.each([
    ['is no JSON', 'any', 'ann:hunter2', 'payload_not_json'],
    ['a check of the schema throws on', 'strict', '{"a":"hunter2"}', 'schema_failed'],
    ['a codec throws on', 'codec', '"hunter2"', 'schema_failed'],
  ])('whose payload %s has a code, and nothing of the payload', async (_, name, json, code) => {
    expect(await judged(name, json)).toEqual({ queue: 'q', id: '1', code, paths: [] });
  });
});

describe('an order key', () => {
  const exported = (queue: string) =>
    given({ orderKey: 'acct-1', exported: { kind: 'job', name: 'any', queue } });
  it('of lines is that of one queue of Waybill', () => {
    expect(orderOf('ndjson', exported('a'))).toBe(orderOf('ndjson', exported('a')));
    expect(orderOf('ndjson', exported('a'))).not.toBe(orderOf('ndjson', exported('b')));
  });
});
