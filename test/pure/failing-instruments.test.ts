// What an application plugs in to watch the work (instrumentation of a drain, an OpenTelemetry SDK) may throw, reject or never answer: the work
// goes on. The outbox is the one in memory.

import { context, trace, type Tracer } from '@opentelemetry/api';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createMemoryOutbox,
  defineJob,
  defineOutboxRegistry,
  drainOutbox,
  enqueueJob,
} from '../../src/index.ts';
import { createLog } from '../../src/metrics/log.ts';

const log = createLog({ level: 'silent', role: 'test' });

async function drained(instrumentation: Parameters<typeof drainOutbox>[0]['instrumentation']) {
  const outbox = createMemoryOutbox();
  const ran: string[] = [];
  const job = defineJob({
    name: 'job',
    payload: z.object({}),
    handler: async ({ message }) => void ran.push(message.id),
  });
  for (let i = 0; i < 5; i++) await enqueueJob(outbox, job, {});
  const registry = defineOutboxRegistry({ jobs: [job] });
  const report = await drainOutbox({ outbox, registry, log, ...(instrumentation && { instrumentation }) });
  return { report, ran: ran.length };
}

const allFive = { report: { claimed: 5, delivered: 5, retried: 0, dead: 0, released: 0 }, ran: 5 };

describe('G4: instruments that fail', () => {
  const fail = (): never => {
    throw new Error('no instrument');
  };
  it.each([
    ['throws', fail],
    ['rejects', async () => fail()],
    ['never answers', () => new Promise<void>(() => undefined)],
  ])('instrumentation of a drain that %s stops nothing', async (_, delivered) => {
    expect(await drained({ delivered: delivered as () => void })).toEqual(allFive);
  });

  describe('of OpenTelemetry', () => {
    afterEach(() => {
      trace.disable();
      context.disable();
    });
    const broken = (over: object): Tracer =>
      ({
        startSpan: () => ({ spanContext: fail, setAttribute: fail, setStatus: fail, end: fail, ...over }),
      }) as unknown as Tracer;
    it.each([
      ['a tracer that throws', { startSpan: fail } as unknown as Tracer],
      ['spans that throw', broken({})],
    ])('%s stops nothing', async (_, tracer) => {
      trace.setGlobalTracerProvider({ getTracer: () => tracer });
      expect(await drained(undefined)).toEqual(allFive);
    });
    it('a provider that throws stops nothing', async () => {
      trace.setGlobalTracerProvider({ getTracer: fail });
      expect(await drained(undefined)).toEqual(allFive);
    });
    it('a context manager that throws stops nothing', async () => {
      trace.setGlobalTracerProvider({ getTracer: () => broken({ setAttribute: () => undefined }) });
      context.setGlobalContextManager({
        active: fail,
        with: fail,
        bind: fail,
        enable() {
          return this;
        },
        disable() {
          return this;
        },
      });
      expect(await drained(undefined)).toEqual(allFive);
    });
  });
});
