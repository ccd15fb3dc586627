// A row as a claim gives it → the message that a worker holds.

import { flagOf, jsonOf, numberOf, textOf, textOrNull } from '../db/values.ts';
import type { ClaimedMessage, Kind } from './message.ts';

/** In the order of `claimedColumns`. Each is a text, and its name one word: query builders turn `max_attempts` into `maxAttempts`, if they are told to. */
const names = [
  'id',
  'kind',
  'name',
  'priority',
  'payload',
  'attempts',
  'most',
  'token',
  'key',
  'request',
  'traceparent',
  'created',
  'prefetched',
  'due',
  'lag',
] as const;

export type ClaimedRow = { [N in (typeof names)[number]]: unknown };

// date_part gives a float, extract a numeric, which takes twice as long to make and to turn into one.
const seconds = (time: string): string => `date_part('epoch', ${time})::text`;

export const claimedColumns = `m.id::text as id, m.kind, m.name, m.priority::text as priority, m.payload::text as payload, m.attempts::text as attempts,
            m.max_attempts::text as most, m.claim_token::text as token, m.delivery_key as key, m.request_id as request,
            m.traceparent, ${seconds('m.created_at')} as created, m.prefetched::text as prefetched, ${seconds('m.available_at')} as due,
            ${seconds('(now() - greatest(m.created_at, m.available_at))')} as lag`;

/** A row as Postgres sends it: its columns in their order, as texts. */
export function rowOf(texts: readonly (string | null)[]): ClaimedRow {
  return Object.fromEntries(names.map((name, i) => [name, texts[i]])) as ClaimedRow;
}

export type Claimed = {
  readonly message: ClaimedMessage;
  /** When it became due, seconds since the epoch. */
  readonly due: number;
  /** Seconds since then, or since it was recorded, if that was later. */
  readonly lag: number;
};

type About = { readonly queue: string; readonly probe?: boolean };

export function claimedOf(rows: readonly ClaimedRow[], { queue, probe = false }: About): Claimed[] {
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
      priority: numberOf(row.priority),
      prefetched: row.prefetched !== null && flagOf(row.prefetched),
      probe,
    };
    return { message: like, due: numberOf(row.due), lag: numberOf(row.lag) };
  });
}
