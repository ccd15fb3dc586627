// Turns the row that a claim returns into the claimed message.

import { flagOf, jsonOf, numberOf, textOf, textOrNull } from '../db/values.ts';
import type { ClaimedMessage, Kind } from '../message/message.ts';

/**
 * A row of `claimedColumns`. A UUID, a number or a boolean may have any type that a driver gives it. JSON is sent as text and parsed here only.
 * Each name is one word, because query builders may turn `max_attempts` into `maxAttempts`.
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
  /** Absent where messages without a group are claimed. */
  group?: unknown;
  order: unknown;
  tags: unknown;
  /** Only for claims of groups: whether the group of the message fails. */
  failing?: unknown;
  /** Only for claims of no single priority (suspects, probes); otherwise the caller passes it. */
  priority?: unknown;
};

// date_part returns a float. extract returns a numeric, which takes twice as long to compute and to convert.
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
  ['m.order_key', '"order"'],
  ['array_to_json(m.tags)::text', 'tags'],
];

/** For connections of the engine, which read text. They claim messages without a group this way. */
export const claimedColumns = columns.map(([expression, name]) => `${expression} as ${name}`).join(', ');

/** For any connection: of a pg client in binary mode, only text can be read. */
export const claimedTexts = [
  ...columns,
  ['m.priority', 'priority'] as const,
  ['m.group_key', '"group"'] as const,
]
  .map(([expression, name]) => `${expression}::text as ${name}`)
  .join(', ');

/** A row from the columns as Postgres sends them: as text, in the order of `columns`. */
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
    order: texts[14],
    tags: texts[15],
  };
}

export type Claimed = {
  readonly message: ClaimedMessage;
  /** When the message became due, in seconds since the epoch. */
  readonly due: number;
  /** Seconds since it became due, or since it was recorded if that was later. */
  readonly lag: number;
};

type About = { readonly queue: string; readonly priority?: number; readonly probe?: boolean };

/** @returns the claimed messages in the order of their due times; the rows come as they lie in the table */
export function claimedOf(rows: readonly ClaimedRow[], { queue, priority, probe = false }: About): Claimed[] {
  let like: ClaimedMessage | undefined;
  const claimed = rows.map((row) => {
    const [kind, name] = [textOf(row.kind) as Kind, textOf(row.name)];
    const created = numberOf(row.created);
    like = {
      id: textOf(row.id),
      // Rows with the same kind and name share one string, which is stored and hashed once.
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
      createdAt: new Date(Math.round(created * 1e6) / 1_000), // rounded to microseconds, as stored
      group: textOrNull(row.group),
      isGroupFailing: row.failing === undefined || row.failing === null ? undefined : flagOf(row.failing),
      orderKey: textOrNull(row.order),
      tags: row.tags === null || row.tags === undefined ? null : (jsonOf(row.tags) as string[]),
      priority: priority ?? numberOf(row.priority),
      prefetched: row.prefetched !== null && flagOf(row.prefetched),
      probe,
    };
    const due = row.due === null || row.due === undefined ? created : numberOf(row.due); // null: due when it was recorded
    return { message: like, due, lag: numberOf(row.lag) };
  });
  return claimed.sort((a, b) => a.due - b.due);
}
