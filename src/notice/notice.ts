// A notice: what an operator learns from a webhook. Many findings of one kind make one notice, which travels as a job of the outbox itself.

import { z } from 'zod';

const text = z.string();

const deadLetters = z.object({
  type: z.literal('waybill.dead_letters'),
  data: z.object({
    count: z.int(),
    groups: z.array(
      z.object({
        kind: text,
        name: text,
        queue: text,
        count: z.int(),
        lastError: text.nullable(),
        ids: z.array(text),
      }),
    ),
  }),
});

const queueParked = z.object({
  type: z.literal('waybill.queue_parked'),
  data: z.object({ queues: z.array(z.object({ queue: text, since: text, reason: text.nullable() })) }),
});

const providerParked = z.object({
  type: z.literal('waybill.provider_parked'),
  data: z.object({ providers: z.array(z.object({ provider: text, since: text, reason: text.nullable() })) }),
});

const ticksSkipped = z.object({
  type: z.literal('waybill.ticks_skipped'),
  data: z.object({
    count: z.int(),
    jobs: z.array(z.object({ job: text, count: z.int(), reason: text.nullable() })),
  }),
});

const booksDiffer = z.object({
  type: z.literal('waybill.books_differ'),
  data: z.object({
    kinds: z.array(z.object({ kind: text, difference: z.int() })),
    findings: z.array(z.object({ code: text, message: text, count: z.int() })),
  }),
});

export const noticeSchema = z.discriminatedUnion('type', [
  deadLetters,
  queueParked,
  providerParked,
  ticksSkipped,
  booksDiffer,
]);

export type Notice = z.output<typeof noticeSchema>;
export type NoticeOf<T extends Notice['type']> = Extract<Notice, { type: T }>['data'];
