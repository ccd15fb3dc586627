// One trace from the HTTP request to the delivery, with the real SDK: what is exported, and what the rows, the logs and the admin API say.

import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineAction } from '../../src/define/action.ts';
import { defineApp } from '../../src/define/app.ts';
import { defineEvent } from '../../src/define/event.ts';
import { defineJob } from '../../src/define/job.ts';
import { defineListener } from '../../src/define/listener.ts';
import { enqueueJob } from '../../src/define/recorder.ts';
import { drainOutbox } from '../../src/drain/drain.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { openQueue, type WakeUpQueue } from '../../src/queue/boss.ts';
import { createRelay } from '../../src/relay/relay.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

const exporter = new InMemorySpanExporter();

const cook = defineJob({
  name: 'cook',
  payload: z.object({ fails: z.boolean() }),
  async handler(_, { fails }) {
    if (fails) throw new Error('ann@b.test is out of tea');
  },
});
const ordered = defineEvent({ name: 'ordered', payload: z.object({ fails: z.boolean() }) });
const kitchen = defineListener({
  name: 'kitchen',
  event: ordered,
  handler: async (ctx, { fails }) => void (await ctx.jobs.dispatch(cook, { fails })),
});
const order = defineAction({
  name: 'order',
  access: 'public',
  args: z.object({ fails: z.boolean().default(false) }),
  emits: [ordered],
  http: 'POST /orders',
  async handler(ctx, { fails }) {
    const { id } = await ctx.events.record(ordered, { fails });
    return id;
  },
});

let database: TestDatabase;
let web: TestWeb;
let queue: WakeUpQueue;
let relay: () => Promise<number>;

beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
  );
  database = await testDatabase();
  const { db } = database;
  web = testWeb(
    defineApp({ actions: [order], events: [ordered], listeners: [kitchen], jobs: [cook] }),
    database.url,
  );
  queue = openQueue({ db, queueDb: db, backend: 'postgres', onError: () => undefined });
  await queue.install();
  const events = createEvents(
    createLog({ level: 'silent', role: 'test' }),
    createMetrics({ version: 'test' }),
  );
  relay = createRelay({
    db,
    queue,
    events,
    observe: () => undefined,
    clock: performance,
    pollIntervalMs: 1_000,
  });
});
beforeEach(() => exporter.reset());
afterAll(async () => {
  await queue.close();
  await web.end();
  await database.end();
  trace.disable();
  context.disable();
});

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const caller = '00f067aa0ba902b7';

async function post(fails: boolean, headers: Record<string, string> = {}): Promise<string> {
  const response = await web.server.inject({
    method: 'POST',
    url: '/orders',
    headers: { 'content-type': 'application/json', ...headers },
    payload: JSON.stringify({ fails }),
  });
  expect(response.statusCode).toBe(200);
  return response.json<{ result: string }>().result;
}

/** Relays and delivers until nothing is due. */
async function work(): Promise<void> {
  const outbox = createPostgresOutbox(database.db);
  for (let claimed = 1; claimed > 0;) {
    await relay();
    const pool = database.db;
    ({ claimed } = await drainOutbox({ outbox, registry: web.registry, pool, concurrency: 1 }));
  }
}

const told = (span: ReadableSpan) => `${SpanKind[span.kind]} ${span.name}`;
const finished = (): ReadableSpan[] => exporter.getFinishedSpans();

function pathTo(span: ReadableSpan): string[] {
  const parent = finished().find((one) => one.spanContext().spanId === span.parentSpanContext?.spanId);
  return [...(parent ? pathTo(parent) : [span.parentSpanContext?.spanId ?? '-']), told(span)];
}

describe('traces', () => {
  it('go from the caller through the request, the event, its listener and its job to the end, as one', async () => {
    const id = await post(false, { traceparent: `00-${traceId}-${caller}-01` });
    await work();
    const spans = finished();
    expect(new Set(spans.map((span) => span.spanContext().traceId))).toEqual(new Set([traceId]));
    const job = spans.find((span) => span.attributes['waybill.name'] === 'cook');
    expect(pathTo(job!)).toEqual([
      caller,
      'SERVER POST /orders',
      'PRODUCER create events',
      'CONSUMER process events',
      'CONSUMER process events',
      'PRODUCER create jobs',
      'CONSUMER process jobs',
    ]);
    const created = spans.find((span) => span.name === 'create events');
    expect(created!.attributes).toMatchObject({
      'messaging.system': 'waybill',
      'messaging.operation.name': 'create',
      'messaging.destination.name': 'events',
      'messaging.message.id': id,
    });
    const headers = { authorization: `Bearer ${adminKey}` };
    const shown = await web.server.inject({ method: 'GET', url: `/admin/outbox/${id}`, headers });
    expect(shown.json()).toMatchObject({ traceId });
  });

  it('begin here when no caller brings one', async () => {
    await post(false);
    await work();
    const [one, ...more] = new Set(finished().map((span) => span.spanContext().traceId));
    expect(one).toMatch(/^[0-9a-f]{32}$/);
    expect(more).toEqual([]);
  });

  it('a failure is on its span, without what it said', async () => {
    await post(true);
    await work();
    const job = finished().find((span) => span.attributes['waybill.name'] === 'cook')!;
    expect(job.status.code).toBe(SpanStatusCode.ERROR);
    expect(job.attributes['error.type']).toBe('transient');
    expect(JSON.stringify([job.events, job.attributes, job.status])).not.toContain('ann');
  });

  it('what the application traces itself is the parent of what it records', async () => {
    const outbox = createPostgresOutbox(database.db);
    const id = await trace.getTracer('application').startActiveSpan('own work', async (span) => {
      const recorded = await enqueueJob(outbox, cook, { fails: false });
      span.end();
      return recorded.id;
    });
    await work();
    const job = finished().find(
      (span) => span.attributes['messaging.message.id'] === id && span.kind === SpanKind.CONSUMER,
    );
    expect(pathTo(job!)).toEqual(['-', 'INTERNAL own work', 'PRODUCER create jobs', 'CONSUMER process jobs']);
  });
});
