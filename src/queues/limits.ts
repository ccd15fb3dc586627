// The limits of a queue, for the whole fleet: what the application defines, and what an operator set instead. They are in the queue's row, so that
// every process obeys the same from its next claim on (invariant L).

import { momentOf, type Moment } from '../db/moment.ts';
import { WaybillError } from '../errors.ts';
import type { Milliseconds } from '../ports.ts';
import { cleanError } from '../redaction/redact.ts';

/** Starts: at most `limit` in any span of `ms`, and at most `burst` of them at once. */
export type Rate = { readonly limit: number; readonly ms: Milliseconds; readonly burst: number };

/** Null lifts the application's limit. */
export type Limits = {
  /** Messages in flight, over the fleet and in one process. */
  readonly concurrency?: number | null;
  readonly concurrencyPerProcess?: number | null;
  /** Starts, over the fleet. */
  readonly rate?: Rate | null;
  /** The same for each group. */
  readonly groupConcurrency?: number | null;
  readonly groupRate?: Rate | null;
  /** From a queue's reopening to the full number of messages in flight. 0: at once. Default: 30 s. */
  readonly rampMs?: Milliseconds | null;
};

export const limitNames = [
  'concurrency',
  'concurrencyPerProcess',
  'rate',
  'groupConcurrency',
  'groupRate',
  'rampMs',
] as const;
export type LimitName = (typeof limitNames)[number];

const most = 1_000_000;
const units = { s: 1_000, m: 60_000, h: 3_600_000 };
type Unit = keyof typeof units;

const isWhole = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;

/** @throws WaybillError `invalid_limit_value` */
export function checkCount(name: string, value: unknown): number {
  if (isWhole(value)) return value;
  throw invalid(`${name} is ${quoted(value)}, and must be a whole number from 1 to 1,000,000`);
}

/**
 * @param value `limit` starts in `per`: `1s`, `1m` or `1h`; `burst` of them at once, default 1
 * @throws WaybillError `invalid_limit_value`
 */
export function checkRate(name: string, value: unknown): Rate {
  const { limit, per, burst = 1, ...others } = asObject(name, value);
  const [stranger] = Object.keys(others);
  if (stranger !== undefined) throw invalid(`${name} has ${quoted(stranger)}; it takes limit, per and burst`);
  const unit = /^1([smh])$/.exec(String(per))?.[1] as Unit | undefined;
  if (unit === undefined || typeof per !== 'string')
    throw invalid(`${name}.per is ${quoted(per)}, and must be 1s, 1m or 1h`);
  const rate = {
    limit: checkCount(`${name}.limit`, limit),
    ms: units[unit],
    burst: checkCount(`${name}.burst`, burst),
  };
  if (rate.burst > rate.limit)
    throw invalid(`${name}.burst is ${rate.burst}, and must not exceed its limit, ${rate.limit}`);
  return rate;
}

/**
 * @param text `50/s`, `100/m`, `1000/h`
 * @throws WaybillError `invalid_limit_value`
 */
export function parseRate(name: string, text: string): Rate {
  const [, limit, unit] = /^(\d{1,9})\/1?(s|m|h)$/.exec(text) ?? [];
  if (limit === undefined)
    throw invalid(`${name} is ${quoted(text)}, and must look like 50/s, 100/m or 1000/h`);
  return { limit: checkCount(name, Number(limit)), ms: units[unit as Unit], burst: 1 };
}

/** `50/s`; a rate below one a second as `1 in 2 s`. */
export function rateText({ limit, ms, burst }: Rate): string {
  const unit = Object.entries(units).find(([, each]) => each === ms)?.[0];
  const text = unit ? `${limit}/${unit}` : `${limit} in ${Number((ms / 1_000).toFixed(3))} s`;
  return burst > 1 ? `${text}, ${burst} at once` : text;
}

/** A rate in messages a second, above 0, whole or not (WAYBILL_EMAIL_RATE). */
export function rateOf(perSecond: number): Rate {
  const limit = Math.ceil(perSecond);
  return { limit, ms: (limit / perSecond) * 1_000, burst: 1 };
}

/** Which limits of an operator allow more than the application's: its author may know what the provider allows. */
export function looserThan(application: Limits, operator: Limits): LimitName[] {
  const size = (limit: number | Rate | null | undefined): number => {
    if (limit === null || limit === undefined) return Number.POSITIVE_INFINITY;
    return typeof limit === 'number' ? limit : limit.limit / limit.ms;
  };
  return limitNames.filter(
    (name) => name !== 'rampMs' && name in operator && size(operator[name]) > size(application[name]),
  );
}

export type QueueLimits = {
  /** What holds: the application's limits, but for those that an operator set. */
  readonly effective: Limits;
  readonly application: Limits;
  readonly operator: Limits;
  /** Which of the operator's limits allow more than the application's. */
  readonly looser: readonly LimitName[];
  /** Who set or reset the operator's last, when and why. */
  readonly by: string | null;
  readonly at: Moment | null;
  readonly reason: string | null;
};

/** The columns of a queue's row that say so. */
export type LimitsRow = Record<`limited_${'by' | 'at' | 'reason'}`, string | null> &
  Record<'limits' | 'app_limits' | 'operator_limits', Limits>;

export function limitsOf(row: LimitsRow): QueueLimits {
  const { limits: effective, app_limits: application, operator_limits: operator } = row;
  const reason = row.limited_reason === null ? null : cleanError(row.limited_reason);
  const looser = looserThan(application, operator);
  return {
    effective,
    application,
    operator,
    looser,
    by: row.limited_by,
    at: momentOf(row.limited_at),
    reason,
  };
}

/** One line for people, such as `rate 50/s, concurrency 10`. */
export function limitsText(limits: Limits): string {
  return limitNames
    .flatMap((name) => {
      const value = limits[name];
      if (value === undefined || value === null) return [];
      const shown =
        typeof value === 'number' ? (name === 'rampMs' ? `${value / 1_000}s` : value) : rateText(value);
      return [`${titles[name]} ${shown}`];
    })
    .join(', ');
}

export const titles: Readonly<Record<LimitName, string>> = {
  concurrency: 'concurrency',
  concurrencyPerProcess: 'per process',
  rate: 'rate',
  groupConcurrency: 'per group',
  groupRate: 'rate per group',
  rampMs: 'ramp',
};

function asObject(name: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  throw invalid(`${name} is ${quoted(value)}, and must be an object such as { limit: 50, per: '1s' }`);
}

function quoted(value: unknown): string {
  return (typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))).slice(0, 60);
}

function invalid(message: string): WaybillError {
  return new WaybillError('invalid_limit_value', message);
}
