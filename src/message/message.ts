// The message: its kinds, its limits and the checks before it is recorded (invariant A begins here).
// JSON in Postgres holds neither U+0000 nor a lone surrogate, and one bad payload would fail its whole batch.

import { checkOptions } from '../options.ts';
import { WaybillError } from '../errors.ts';
import { defaultMaxAttempts, emailMaxAttempts } from './backoff.ts';
import { checkFlow, flowOptions, type FlowOptions } from './flow.ts';
import { checkSealing, isSealed, sealOptions, type SealOptions } from './seal.ts';
import { foldedTags, type TagOptions } from './tags.ts';
import { checkDuplicate, duplicateOptions, type DuplicateOptions, type Replace } from './duplicate.ts';

export const kinds = ['email', 'event', 'listener', 'job', 'action'] as const;
/** What a message is. */
export type Kind = (typeof kinds)[number];

export const statuses = ['pending', 'sending', 'failed', 'delivered', 'dead', 'cancelled'] as const;
/** The state of a message. `failed` is due again; `dead` needs a person. */
export type Status = (typeof statuses)[number];

/** The input for recording a message. */
export type NewMessage = {
  readonly kind: Kind;
  /** Name of the definition; of an email, `email`. */
  readonly name: string;
  /** 1 … 100 letters, digits, `.`, `_` or `-`. */
  readonly queue: string;
  /** Any JSON value. */
  readonly payload: unknown;
  /** 1 … 1000. Default 10; for emails 53. */
  readonly maxAttempts?: number | undefined;
  /** −1000 … 1000, default 0; higher goes first. */
  readonly priority?: number | undefined;
  /** It is not delivered before this time. Default: due at once. */
  readonly availableAt?: Date | undefined;
  /** 1 … 255 printable characters. */
  readonly deliveryKey?: string | undefined;
  /** The message whose handler recorded this one. */
  readonly parentId?: string | undefined;
  readonly requestId?: string | undefined;
  readonly traceparent?: string | undefined;
} & FlowOptions &
  TagOptions &
  DuplicateOptions &
  SealOptions;

const fields = [
  'kind',
  'name',
  'queue',
  'payload',
  'maxAttempts',
  'priority',
  'availableAt',
  'deliveryKey',
  ...flowOptions,
  'tags',
  'parentId',
  'requestId',
  'traceparent',
  ...duplicateOptions,
  ...sealOptions,
];

/** A message that a worker has claimed. Only `claimToken` gives the right to settle it (invariant C). */
export type ClaimedMessage = {
  readonly id: string;
  readonly kind: Kind;
  readonly name: string;
  readonly queue: string;
  readonly payload: unknown;
  /** 1 for the first attempt; counted at claim (invariant E). */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly claimToken: string;
  readonly deliveryKey: string | null;
  readonly requestId: string | null;
  readonly traceparent: string | null;
  readonly createdAt: Date;
  readonly group?: string | null;
  readonly isGroupFailing?: boolean | undefined; // undefined: the claim did not look
  readonly orderKey?: string | null;
  readonly tags?: readonly string[] | null;
  /** Present where it is known; higher starts first. */
  readonly priority?: number;
  /** It was claimed before a slot was free, and waits for one. */
  readonly prefetched?: boolean;
  /** It is the probe of its parked queue: its result shows whether the provider works again. */
  readonly probe?: boolean;
  /** Its payload was sealed, and was opened for the delivery. */
  readonly opened?: { readonly keep: boolean };
};

/** The answer to a recording. */
export type Enqueued = {
  /** Of the new message, or of the one that has the delivery key. */
  readonly id: string;
  readonly status: Status;
  /** True: another message has the delivery key, and nothing was recorded. */
  readonly duplicate: boolean;
  /** The message with this id waited, and has the new payload. */
  readonly replaced?: true;
};

export const attemptsOf = (kind: Kind): number => (kind === 'email' ? emailMaxAttempts : defaultMaxAttempts);
export const defaultMaxPayloadBytes = 262_144;

/** A message that passed `checkMessage`, with its payload as JSON text and its defaults filled in. */
export type CheckedMessage = Required<
  Pick<NewMessage, 'kind' | 'name' | 'queue' | 'maxAttempts' | 'priority'>
> &
  Omit<NewMessage, 'payload' | keyof DuplicateOptions> & {
    /** Made before it is recorded, if its payload is sealed to it. Default: made when it is recorded. */
    readonly id?: string | undefined;
    readonly json: string;
    /** Undefined: when the delivery key is taken, nothing is recorded. */
    readonly replace?: Replace | undefined;
  };

/**
 * Checks a message against every rule of the table; the error says what is wrong and where.
 * @param maxPayloadBytes limit of the payload's JSON, in bytes of UTF-8
 * @throws WaybillError with the codes `unknown_kind`, `name_invalid`, `queue_invalid`, `delivery_key_invalid`, `max_attempts_invalid`,
 * `priority_invalid`, `invalid_time`, `group_invalid`, `order_key_invalid`, `on_dead_invalid`, `tags_invalid`, `request_id_invalid`, `traceparent_invalid`,
 * `sealing_invalid`, `payload_reserved`, `null_character`, `invalid_unicode`, `payload_not_json`, `payload_too_large`, and those of checkDuplicate
 */
export function checkMessage(message: NewMessage, maxPayloadBytes = defaultMaxPayloadBytes): CheckedMessage {
  checkOptions('message', message, fields);
  const { kind, name, queue, availableAt, deliveryKey } = message;
  const { maxAttempts = attemptsOf(kind), priority = 0 } = message;
  if (!kinds.includes(kind))
    refuse('unknown_kind', `${quote(kind)} is no kind of message; the kinds are ${kinds.join(', ')}`);
  if (!isName(name)) refuse('name_invalid', `the name ${quote(name)} must have ${nameRule}`);
  if (!isQueueName(queue))
    refuse('queue_invalid', `the queue ${quote(queue)} must have 1 to 100 letters, digits, '.', '_' or '-'`);
  if (deliveryKey !== undefined && !isDeliveryKey(deliveryKey))
    refuse('delivery_key_invalid', 'a deliveryKey has 1 to 255 printable characters');
  if (!inRange(maxAttempts, 1, 1000))
    refuse('max_attempts_invalid', 'maxAttempts must be a whole number from 1 to 1000');
  if (!inRange(priority, -1000, 1000))
    refuse('priority_invalid', 'priority must be a whole number from -1000 to 1000');
  if (availableAt !== undefined && !isDueTime(availableAt))
    refuse('invalid_time', 'availableAt must be a valid Date between the years 1970 and 9999');
  const { group, orderKey, onDead, parentId, requestId, traceparent } = message;
  if (group !== undefined || orderKey !== undefined || onDead !== undefined) checkFlow(message);
  const tags = message.tags === undefined ? undefined : foldedTags(message.tags);
  checkOrigin(message);
  checkSealing(message);
  if (isSealed(message.payload))
    refuse('payload_reserved', 'a payload must not have the key $sealed: that is the form of sensitive ones');
  const json = payloadJson(message.payload, maxPayloadBytes);
  const { onDuplicate, debounce, maxWait } = message;
  const hasOption = onDuplicate !== undefined || debounce !== undefined || maxWait !== undefined;
  const replace = hasOption ? checkDuplicate(message) : undefined;
  const rest = { deliveryKey, group, orderKey, onDead, tags, replace, parentId, requestId, traceparent };
  const checked = { kind, name, queue, json, maxAttempts, priority, availableAt, ...rest };
  return message.sensitive ? { ...checked, sensitive: true, keep: message.keep } : checked;
}

function checkOrigin({ requestId, traceparent }: NewMessage): void {
  if (requestId !== undefined && !(isDeliveryKey(requestId) && requestId.length <= 200))
    refuse('request_id_invalid', 'a requestId has 1 to 200 printable characters');
  if (traceparent !== undefined && !isTraceparent(traceparent))
    refuse(
      'traceparent_invalid',
      'a traceparent looks like 00-<32 hex digits>-<16 hex digits>-<2 hex digits>',
    );
}

/** W3C Trace Context, version 00. */
export function isTraceparent(value: unknown): value is string {
  return (
    typeof value === 'string' && /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/.test(value)
  );
}

/** The rule for names, as error messages state it. */
export const nameRule =
  "1 to 200 letters, digits, '.', '_', ':', '/' or '-', and between slashes neither nothing nor '.' nor '..'";

/** Names also become parts of URLs and file paths, so a name must not lead upwards. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && /^[\p{L}\p{N}._:/-]{1,200}$/u.test(value) && !leadsElsewhere(value);
}

function leadsElsewhere(name: string): boolean {
  return name.split('/').some((part) => part === '' || part === '.' || part === '..');
}

/** pg-boss accepts all of these characters in a queue's name. */
export function isQueueName(value: unknown): value is string {
  return typeof value === 'string' && /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/.test(value);
}

/** Checks delivery keys and idempotency keys. */
export function isDeliveryKey(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 255 && /^[^\p{C}]+$/u.test(value);
}

function inRange(value: unknown, low: number, high: number): boolean {
  return Number.isInteger(value) && (value as number) >= low && (value as number) <= high;
}

function isDueTime(value: unknown): boolean {
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) return false;
  return value.getUTCFullYear() >= 1970 && value.getUTCFullYear() <= 9999;
}

function payloadJson(payload: unknown, maxBytes: number): string {
  const json = stringify(payload);
  // JSON.stringify writes lone surrogates and U+0000 as escapes. The slow walk runs only when there is one.
  if (/\\u(0000|d[89a-f])/.test(json)) checkText(payload, '$');
  const bytes = Buffer.byteLength(json);
  if (bytes > maxBytes)
    refuse(
      'payload_too_large',
      `the payload has ${bytes} bytes; at most ${maxBytes} are allowed (WAYBILL_MAX_PAYLOAD_BYTES)`,
    );
  return json;
}

function stringify(payload: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(payload);
  } catch (error) {
    refuse('payload_not_json', `the payload cannot be written as JSON: ${(error as Error).message}`);
  }
  return json ?? refuse('payload_not_json', 'the payload cannot be written as JSON');
}

function checkText(value: unknown, path: string): void {
  if (typeof value === 'string') {
    if (value.includes('\0')) refuse('null_character', `${path} holds U+0000, which Postgres cannot store`);
    if (!value.isWellFormed())
      refuse('invalid_unicode', `${path} holds half of a surrogate pair, which is no character`);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      checkText(key, `${path} (a key)`);
      checkText(inner, `${path}.${key}`);
    }
  }
}

function quote(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? String(value);
}

function refuse(code: string, message: string): never {
  throw new WaybillError(code, message);
}
