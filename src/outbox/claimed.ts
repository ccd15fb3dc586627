// A row as a claim gives it → the message that a worker holds.

import { flagOf, jsonOf, numberOf, textOf, textOrNull } from '../db/values.ts';
import type { ClaimedMessage, Kind } from '../message/message.ts';

/**
 * A row of `claimedColumns`. Whatever a driver makes of a UUID, a number or a boolean is read; JSON is sent as a text, which is read here alone. Each
 * name is one word: query builders turn `max_attempts` into `maxAttempts`, if they are told to.
 */
export type ClaimedRow = {
  id: unknown;
  kind: unknown;
  name: unknown;
  payload: unknown;
  attempts: unknown;
  most: unknown;
  token: unknown;
  key: unknown;
  request: unknown;
  traceparent: unknown;
  created: unknown;
  prefetched: unknown;
  due: unknown;
  lag: unknown;
  /** Of suspects and probes; else that of the place. */
  priority?: unknown;
};

// date_part gives a float, extract a numeric, which takes twice as long to make and to turn into one.
const seconds = (time: string): string => `date_part('epoch', ${time})`;

const columns: readonly (readonly [expression: string, name: string])[] = [
  ['m.id', 'id'],
  ['m.kind', 'kind'],
  ['m.name', 'name'],
  ['m.payload::text', 'payload'],
  ['m.attempts', 'attempts'],
  ['m.max_attempts', 'most'],
  ['m.claim_token', 'token'],
  ['m.delivery_key', 'key'],
  ['m.request_id', 'request'],
  ['m.traceparent', 'traceparent'],
  [seconds('m.created_at'), 'created'],
  ['m.prefetched', 'prefetched'],
  [`case when m.available_at <> m.created_at then ${seconds('m.available_at')} end`, 'due'],
  [seconds('(now() - greatest(m.created_at, m.available_at))'), 'lag'],
];

/** For a connection of ours, which reads texts. */
export const claimedColumns = columns.map(([expression, name]) => `${expression} as ${name}`).join(', ');

/** For any connection: a client of pg in binary mode reads nothing but texts. */
export const claimedTexts = [...columns, ['m.priority', 'priority'] as const]
  .map(([expression, name]) => `(${expression})::text as ${name}`)
  .join(', ');

/** A row as Postgres sends it: its columns in their order, as texts. */
export function rowOf(texts: readonly (string | null)[]): ClaimedRow {
  return {
    id: texts[0],
    kind: texts[1],
    name: texts[2],
    payload: texts[3],
    attempts: texts[4],
    most: texts[5],
    token: texts[6],
    key: texts[7],
    request: texts[8],
    traceparent: texts[9],
    created: texts[10],
    prefetched: texts[11],
    due: texts[12],
    lag: texts[13],
  };
}

export type Claimed = {
  readonly message: ClaimedMessage;
  /** When it became due, seconds since the epoch. */
  readonly due: number;
  /** Seconds since then, or since it was recorded, if that was later. */
  readonly lag: number;
};

type About = { readonly queue: string; readonly priority?: number; readonly probe?: boolean };

export function claimedOf(rows: readonly ClaimedRow[], { queue, priority, probe = false }: About): Claimed[] {
  let like: ClaimedMessage | undefined;
  return rows.map((row) => {
    const [kind, name] = [textOf(row.kind) as Kind, textOf(row.name)];
    const created = numberOf(row.created);
    like = {
      id: textOf(row.id),
      // What neighbours are called is one text then, which is kept once and hashed once.
      kind: kind === like?.kind ? like.kind : kind,
      name: name === like?.name ? like.name : name,
      queue,
      payload: jsonOf(row.payload),
      attempt: numberOf(row.attempts),
      maxAttempts: numberOf(row.most),
      claimToken: textOf(row.token),
      deliveryKey: textOrNull(row.key),
      requestId: textOrNull(row.request),
      traceparent: textOrNull(row.traceparent),
      createdAt: new Date(Math.round(created * 1e6) / 1_000), // whole microseconds, as they are stored
      priority: priority ?? numberOf(row.priority),
      prefetched: row.prefetched !== null && flagOf(row.prefetched),
      probe,
    };
    const due = row.due === null || row.due === undefined ? created : numberOf(row.due); // most are due when they are recorded
    return { message: like, due, lag: numberOf(row.lag) };
  });
}
