// The filter of messages for lists and for acts on many. Only the given conditions go into the statement, so that Postgres can choose an index.

import { WaybillError } from '../errors.ts';
import { kinds, statuses, type Kind, type Status } from '../message/message.ts';
import { deadCauses, type DeadCause } from '../message/outcome.ts';
import { inFlight, waits } from '../outbox/waiting.ts';
import { knownWord, several, shaped, single, type Texts } from './texts.ts';
import { agoOf, pastTime, type Ago } from './time.ts';
import { addContents, given, readPaths, type Add, type Contents } from './contents.ts';

export type MessageFilter = {
  readonly status?: readonly Status[] | undefined;
  readonly kind?: readonly Kind[] | undefined;
  readonly name?: readonly string[] | undefined;
  readonly queue?: readonly string[] | undefined;
  readonly deliveryKey?: readonly string[] | undefined;
  readonly group?: readonly string[] | undefined;
  readonly orderKey?: readonly string[] | undefined;
  readonly requestId?: readonly string[] | undefined;
  readonly traceId?: readonly string[] | undefined;
  readonly parentId?: readonly string[] | undefined;
  /** Workers that have claimed the message now. */
  readonly claimedBy?: readonly string[] | undefined;
  readonly cause?: readonly DeadCause[] | undefined;
  /** Recorded at this time or later. */
  readonly since?: Date | undefined;
  /** Recorded before this time. */
  readonly until?: Date | undefined;
  /** Due at this time or later; each retry moves the due time. */
  readonly availableSince?: Date | undefined;
  /** Due before this time. */
  readonly availableUntil?: Date | undefined;
  /** Dead since this time or later. */
  readonly deadSince?: Date | undefined;
  /** Messages with an attempt of this outcome, whatever their state now. */
  readonly outcome?: readonly AttemptOutcome[] | undefined;
  /** Text within the last error; case is ignored. */
  readonly errorContains?: string | undefined;
  readonly ago?: Ago | undefined;
} & Contents;

/** Outcomes that can be searched: delivery is uncertain, or a person ended the attempt. The index outbox_attempts_uncertain contains them. */
export const attemptOutcomes = ['ambiguous', 'expired', 'ended'] as const;
export type AttemptOutcome = (typeof attemptOutcomes)[number];

export const orders = ['newest', 'oldest'] as const;

export type Paging = {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
  /** Which messages come first; default: the newest. */
  readonly order?: (typeof orders)[number] | undefined;
};

export type Filter = MessageFilter & Paging;

export const defaultPageSize = 50;
const maxPageSize = 500;

type FilterTexts = { readonly [Service in keyof Filter]?: Texts };

/**
 * Parses a filter from a query string or a command line. The times may be durations before now such as `1h`, or `now`.
 * @throws WaybillError `invalid_status`, `invalid_kind`, `invalid_outcome`, `invalid_cause`, `invalid_time`, `empty_range`, `invalid_limit`,
 * `invalid_order`, `invalid_filter`
 */
export function parseFilter(texts: FilterTexts): Filter {
  const [since, until] = range(texts, 'since', 'until');
  const [availableSince, availableUntil] = range(texts, 'availableSince', 'availableUntil');
  return {
    status: known('status', statuses, texts.status),
    kind: known('kind', kinds, texts.kind),
    outcome: known('outcome', attemptOutcomes, texts.outcome),
    name: several('name', texts.name),
    queue: several('queue', texts.queue),
    deliveryKey: several('deliveryKey', texts.deliveryKey),
    keyPrefix: single('keyPrefix', texts.keyPrefix),
    to: shaped('to', texts.to),
    tag: several('tag', texts.tag),
    group: several('group', texts.group),
    orderKey: several('orderKey', texts.orderKey),
    requestId: several('requestId', texts.requestId),
    traceId: shaped('traceId', texts.traceId)?.map((id) => id.toLowerCase()),
    parentId: shaped('parentId', texts.parentId)?.map((id) => id.toLowerCase()),
    claimedBy: several('claimedBy', texts.claimedBy),
    payload: readPaths(payloadTexts(texts)),
    cause: known('cause', deadCauses, texts.cause),
    errorContains: single('errorContains', texts.errorContains),
    since,
    until,
    availableSince,
    availableUntil,
    deadSince: pastTime('deadSince', texts.deadSince),
    ago: agoOf(texts),
    limit: pageSize(texts.limit),
    cursor: single('cursor', texts.cursor),
    order: known('order', orders, texts.order)?.at(-1),
  };
}

function range(texts: FilterTexts, from: RangeEnd, to: RangeEnd): [Date | undefined, Date | undefined] {
  const [since, until] = [pastTime(from, texts[from]), pastTime(to, texts[to])];
  if (since && until && since >= until)
    throw new WaybillError('empty_range', `${from} must be before ${to}: nothing lies between them`);
  return [since, until];
}
type RangeEnd = 'since' | 'until' | 'availableSince' | 'availableUntil';

/** `payload.customer.id=7` of a query string, and `customer.id=7` of a command line or a body. */
function payloadTexts(texts: FilterTexts): string[] {
  const named = Object.entries(texts).filter(([name, given]) => name.startsWith('payload.') && given);
  return [
    ...(several('payload', texts.payload) ?? []),
    ...named.map(([name, given]) => `${name.slice('payload.'.length)}=${single(name, given)}`),
  ];
}

function known<T extends string>(
  part: 'status' | 'kind' | 'outcome' | 'cause' | 'order',
  words: readonly T[],
  given: Texts,
): readonly T[] | undefined {
  return several(part, given)?.map((text) => knownWord(part, words, text));
}

/** @throws WaybillError `invalid_limit` */
export function pageSize(given: Texts): number | undefined {
  const text = single('limit', given);
  if (text === undefined) return undefined;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= maxPageSize) return limit;
  throw new WaybillError('invalid_limit', `limit must be a whole number from 1 to ${maxPageSize}`);
}

/** Conditions and their values; `conditions` are joined by `and`. */
export type Where = { readonly conditions: string[]; readonly values: unknown[] };

const columns = {
  status: 'status',
  kind: 'kind',
  name: 'name',
  queue: 'queue',
  deliveryKey: 'coalesce(delivery_key, shared_key)',
  cause: 'dead_cause',
  group: 'group_key',
  orderKey: 'order_key',
  requestId: 'request_id',
  traceId: `split_part(traceparent, '-', 2)`,
  parentId: 'parent_id::text',
  claimedBy: 'claimed_by',
} as const;

/** Allowance for the clock of the recording process, from which ids are made. */
const clockMarginMs = 86_400_000;

/** The due time as it is shown: a message that waits behind another of its order key is due at `infinity`. */
export const ownDue = `case when order_due is not null and available_at = 'infinity' then order_due else available_at end`;

/** @param values where the filter's values are added; their numbers go on behind those that it has */
export function whereOf(filter: MessageFilter, values: unknown[] = []): Where {
  const where: Where = { conditions: [], values };
  const add: Add = (condition, value) => {
    where.values.push(value);
    where.conditions.push(condition(`$${where.values.length}`));
  };
  for (const [key, column] of Object.entries(columns) as [keyof typeof columns, string][]) {
    const wanted = filter[key];
    if (wanted !== undefined && wanted.length > 0) add((v) => `${column} = any(${v}::text[])`, wanted);
  }
  const { since, until, errorContains } = filter;
  if (since) {
    add((v) => `created_at >= ${v}::timestamptz`, since);
    add((v) => `id >= ${v}::uuid`, oldestIdOf(filter)); // ends the scan of the primary key
  }
  if (until) {
    add((v) => `created_at < ${v}::timestamptz`, until);
    add((v) => `id < ${v}::uuid`, firstIdAt(until.getTime() + clockMarginMs));
  }
  if (errorContains !== undefined)
    add((v) => `last_error is not null and position(lower(${v}) in lower(last_error)) > 0`, errorContains);
  if (filter.availableSince) add((v) => `${ownDue} >= ${v}::timestamptz`, filter.availableSince);
  if (filter.availableUntil) add((v) => `${ownDue} < ${v}::timestamptz`, filter.availableUntil);
  if (filter.deadSince) add((v) => `dead_at >= ${v}::timestamptz`, filter.deadSince);
  addContents(filter, add);
  where.conditions.push(...partialIndex(statesOf(filter)), ...attemptsIndex(filter.outcome ?? []));
  return where;
}

/** The states that the filter leaves, where it does not name them. A delivery clears the last error. Empty: any. */
function statesOf({ status, cause, deadSince, claimedBy, errorContains }: MessageFilter): readonly Status[] {
  if (given(status)) return status.filter((one) => one !== 'delivered' || errorContains === undefined);
  if (given(cause) || deadSince) return ['dead'];
  if (given(claimedBy)) return ['sending'];
  return errorContains === undefined ? [] : statuses.filter((one) => one !== 'delivered');
}

/** Whether the filter leaves only states that have an index. */
export const isOfState = (filter: MessageFilter): boolean => partialIndex(statesOf(filter)).length > 0;

/** The predicates of the partial indexes of these states. The rules of the table (sql/0001_messages.sql) make them true for such rows. */
function partialIndex(states: readonly Status[]): string[] {
  if (states.length === 0 || states.includes('delivered')) return [];
  const live = states.includes('pending') || states.includes('failed');
  const predicates = [
    ...(states.includes('dead') ? ['dead_at is not null'] : []),
    ...(states.includes('cancelled') ? ['cancelled_at is not null'] : []),
    ...(live ? [`(${waits()})`] : []), // and a message that waits for an older one with its key looks as if it were in flight
    ...(live || states.includes('sending') ? [`(${inFlight()})`] : []),
  ];
  return predicates.length === 1 ? predicates : [`(${predicates.join(' or ')})`];
}

/** Outcomes are literals, not parameters: only then can Postgres use the partial index. */
function attemptsIndex(outcomes: readonly AttemptOutcome[]): string[] {
  if (outcomes.length === 0) return [];
  const ended = [...new Set(outcomes)].map((outcome) => `'${outcome}'`).join(', ');
  return [`id in (select message_id from waybill.outbox_attempts where outcome in (${ended}))`];
}

/** No message with an older id matches; null: any may. */
export function oldestIdOf({ since }: MessageFilter): string | null {
  return since ? firstIdAt(since.getTime() - clockMarginMs) : null;
}

export function firstIdAt(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-0000-0000-000000000000`;
}
