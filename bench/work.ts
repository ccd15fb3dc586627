// The setup of each work for Waybill: its processes, and how its messages are recorded through the public API.

import {
  createOutboxEventRecorder,
  createOutboxJobDispatcher,
  enqueueEmail,
  type OutboxPort,
} from '../src/index.ts';
import { noop, receiptTo, shipped, wait, writeRow } from './app.ts';
import { fleet, type Work } from './contender.ts';

export type Role = 'relay' | 'jobs' | 'email' | 'scheduler' | 'web' | 'all';

type Setup = {
  readonly roles: readonly Role[];
  /** The queue in which its messages wait. */
  readonly queue: string;
  readonly env?: Readonly<Record<string, string>>;
  put(outbox: OutboxPort, numbers: readonly number[]): Promise<unknown>;
};

const jobs = { roles: ['relay', 'jobs'], queue: 'jobs' } as const;

const putNoops: Setup['put'] = (outbox, numbers) =>
  createOutboxJobDispatcher(outbox).dispatchMany(
    noop,
    numbers.map(() => ({ payload: {} })),
  );

export const setups: Readonly<Record<Work, Setup>> = {
  noop: { ...jobs, put: putNoops },
  jobs: {
    ...jobs,
    put: (outbox, numbers) =>
      createOutboxJobDispatcher(outbox).dispatchMany(
        writeRow,
        numbers.map((n) => ({ payload: { n } })),
      ),
  },
  emails: {
    roles: ['relay', 'email'],
    queue: 'email',
    env: { WAYBILL_EMAIL_PROVIDER: 'log' },
    async put(outbox, numbers) {
      for (const n of numbers) await enqueueEmail(outbox, receiptTo(`customer-${n}`));
    },
  },
  events: {
    roles: ['relay', 'jobs'],
    queue: 'events',
    put: (outbox, numbers) =>
      createOutboxEventRecorder(outbox).recordMany(
        shipped,
        numbers.map((n) => ({ payload: { n } })),
      ),
  },
  fleet: {
    roles: ['relay', ...Array<Role>(fleet.processes).fill('jobs')],
    queue: 'jobs',
    env: { WAYBILL_CONCURRENCY: String(fleet.slots) },
    put: (outbox, numbers) =>
      createOutboxJobDispatcher(outbox).dispatchMany(
        wait,
        numbers.map(() => ({ payload: { ms: fleet.waitMs } })),
      ),
  },
  action: { roles: ['relay', 'jobs', 'email'], queue: 'jobs', put: putNoops },
};

/** Statements that create the tables that handlers write to. */
export const tables = `
  create table if not exists began (message_id uuid, ms float8);
  create table if not exists written (n int not null, written_at timestamptz not null default now());
  create table if not exists order_began (order_id uuid, step text, ms float8, primary key (order_id, step))`;
