// A row as a claim gives it → the message that a worker holds.

import { flagOf, jsonOf, microseconds, numberOf, textOf, textOrNull, timeOf } from '../db/values.ts';
import type { ClaimedMessage, Kind } from './message.ts';

/** Each column is a text, and its name one word: query builders turn `max_attempts` into `maxAttempts`, if they are told to. */
export type ClaimedRow = {
  id: unknown;
  kind: unknown;
  name: unknown;
  queue: unknown;
  payload: unknown;
  attempts: unknown;
  most: unknown;
  token: unknown;
  key: unknown;
  request: unknown;
  traceparent: unknown;
  /** Microseconds since the epoch. */
  created: unknown;
  priority: unknown;
  prefetched: unknown;
  probe: unknown;
};

export const claimedColumns = `m.id::text as id, m.kind, m.name, m.queue, m.payload::text as payload, m.attempts::text as attempts,
            m.max_attempts::text as most, m.claim_token::text as token, m.delivery_key as key, m.request_id as request,
            m.traceparent, ${microseconds('m.created_at')} as created, m.priority::text as priority`;

export function claimedMessage(row: ClaimedRow): ClaimedMessage {
  return {
    id: textOf(row.id),
    kind: textOf(row.kind) as Kind,
    name: textOf(row.name),
    queue: textOf(row.queue),
    payload: jsonOf(row.payload),
    attempt: numberOf(row.attempts),
    maxAttempts: numberOf(row.most),
    claimToken: textOf(row.token),
    deliveryKey: textOrNull(row.key),
    requestId: textOrNull(row.request),
    traceparent: textOrNull(row.traceparent),
    createdAt: timeOf(row.created),
    priority: numberOf(row.priority),
    prefetched: flagOf(row.prefetched),
    probe: flagOf(row.probe),
  };
}

/** Without what all that comes from a lane has in common: less to send, and to read. */
export type LaneRow = {
  id: string;
  kind: Kind;
  name: string;
  payload: unknown;
  max_attempts: number;
  claim_token: string;
  delivery_key: string | null;
  request_id: string | null;
  traceparent: string | null;
  prefetched: boolean | null;
  /** Seconds since the epoch. */
  created: number;
};

/** The columns of a lane's row in the order in which `fromTexts` reads them. */
export const laneColumns = `m.id, m.kind, m.name, m.payload, m.max_attempts, m.claim_token, m.delivery_key, m.request_id, m.traceparent,
            date_part('epoch', m.created_at) as created, m.prefetched`;

/** A lane's row as Postgres sends it. */
export function fromTexts(texts: readonly (string | null)[]): LaneRow {
  return {
    id: texts[0]!,
    kind: texts[1] as Kind,
    name: texts[2]!,
    payload: JSON.parse(texts[3]!) as unknown,
    max_attempts: Number(texts[4]),
    claim_token: texts[5]!,
    delivery_key: texts[6]!,
    request_id: texts[7]!,
    traceparent: texts[8]!,
    created: Number(texts[9]),
    prefetched: texts[10] === 't',
  };
}

/** @param like its neighbour: what both are called is one text then, which is kept once and hashed once */
export function laneMessage(
  row: LaneRow,
  { queue, priority }: Shared,
  like: ClaimedMessage | undefined,
): ClaimedMessage {
  return {
    id: row.id,
    kind: like && row.kind === like.kind ? like.kind : row.kind,
    name: like && row.name === like.name ? like.name : row.name,
    queue,
    payload: row.payload,
    attempt: 1,
    maxAttempts: row.max_attempts,
    claimToken: row.claim_token,
    deliveryKey: row.delivery_key,
    requestId: row.request_id,
    traceparent: row.traceparent,
    createdAt: new Date(Math.round(row.created * 1e6) / 1_000), // whole microseconds, as they are stored
    priority,
    prefetched: row.prefetched === true,
    probe: false,
  };
}

type Shared = { readonly queue: string; readonly priority: number };
