// Sealed payloads: AES-256-GCM (NIST SP 800-38D) with keys from WAYBILL_PAYLOAD_KEYS. A row, its backups and everything that shows it have only the
// sealed form; the worker opens it for the handler or the provider.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { WaybillError } from '../errors.ts';

/** A key that seals payloads: 32 bytes, with the id under which rows name it. */
export type PayloadKey = { readonly id: string; readonly key: Buffer };

/** The first seals; all open. */
export type PayloadKeys = readonly PayloadKey[];

/** What a payload belongs to: one that is copied to another row cannot be opened there. */
export type SealedFor = {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly deliveryKey?: string | null | undefined;
};

export type Sealed = {
  readonly $sealed: {
    /** Id of the key. */
    readonly key: string;
    /** `id`: to the message's id. `deliveryKey`: to kind, name and delivery key, because a later recording may replace the payload. */
    readonly to: 'id' | 'deliveryKey';
    /** 12 bytes in base64. */
    readonly iv: string;
    /** Ciphertext and tag of 16 bytes, in base64. */
    readonly data: string;
    /** False: dropped when the message is delivered. */
    readonly keep?: false;
    /**
     * Of an email: SHA-256 of each recipient's address, in hex. Only on the way to the row, which keeps keyed hashes of them instead
     * (sql/0008_email.sql).
     */
    readonly recipients?: readonly string[];
  };
};

/** Whether a payload is sealed at rest. */
export type SealOptions = {
  /** The payload is sealed at rest with WAYBILL_PAYLOAD_KEYS, and shown to nobody. Default false. */
  readonly sensitive?: boolean | undefined;
  /** False: the payload of a sensitive message is dropped when it is delivered. Default true. */
  readonly keep?: boolean | undefined;
};
export const sealOptions = ['sensitive', 'keep'] as const;

/** Seal options with their defaults filled in. */
export type Sealing = { readonly sensitive: boolean; readonly keep: boolean };

const ivBytes = 12; // SP 800-38D, 8.2.2: a random one of 96 bits, for at most 2^32 payloads with a key
const tagBytes = 16;

/** @throws WaybillError `sealing_invalid` */
export function checkSealing({ sensitive = false, keep = true }: SealOptions): void {
  if (typeof sensitive !== 'boolean' || typeof keep !== 'boolean')
    throw new WaybillError('sealing_invalid', 'sensitive and keep must be true or false');
  if (!keep && !sensitive)
    throw new WaybillError('sealing_invalid', 'keep: false is for sensitive messages: add sensitive: true');
}

/**
 * Reads `id:key,id:key`. Ids have 1 to 32 letters, digits, '.', '_' or '-'; keys are 32 bytes in base64.
 * @returns the keys, or what is wrong; the text never has a key
 */
export function parsePayloadKeys(text: string): PayloadKeys | { readonly problem: string } {
  const keys: PayloadKey[] = [];
  for (const [i, entry] of text.split(',').entries()) {
    const [, id = '', encoded = ''] = /^([A-Za-z0-9._-]{1,32}):([A-Za-z0-9+/_-]{43}=?)$/.exec(entry) ?? [];
    const key = Buffer.from(encoded, 'base64');
    if (id === '' || key.length !== 32)
      return {
        problem: `entry ${i + 1} must be id:key with a key of 32 bytes in base64 (openssl rand -base64 32)`,
      };
    if (keys.some((other) => other.id === id)) return { problem: `the id ${id} is there twice` };
    if (keys.some((other) => other.key.equals(key))) return { problem: `the key of ${id} is there twice` };
    keys.push({ id, key });
  }
  return keys;
}

/**
 * @param given keys, their text, or nothing
 * @throws WaybillError `payload_keys_invalid`
 */
export function payloadKeysOf(given: string | PayloadKeys | undefined): PayloadKeys {
  if (given === undefined || typeof given !== 'string') return given ?? [];
  const keys = parsePayloadKeys(given);
  if ('problem' in keys) throw new WaybillError('payload_keys_invalid', `payloadKeys: ${keys.problem}`);
  return keys;
}

export function isSealed(payload: unknown): payload is Sealed {
  return typeof payload === 'object' && payload !== null && Object.hasOwn(payload, '$sealed');
}

/** What a delivered message has instead of a payload that was dropped, as JSON. */
export const droppedPayload = '{"dropped": true}';

/** Whether the payload was dropped when the message was delivered. */
export function wasDropped(payload: unknown, status: string): boolean {
  return status === 'delivered' && JSON.stringify(payload) === '{"dropped":true}';
}

/** Whether the payload is dropped when the message is delivered. */
export const isDropped = (payload: unknown): boolean => isSealed(payload) && payload.$sealed.keep === false;

/**
 * @param json the payload as JSON
 * @param about `isReplaced`: a later recording of the delivery key may replace it; `keep`: whether it stays after the delivery; `recipients`: see `Sealed`
 * @returns the sealed payload as JSON
 * @throws WaybillError `payload_keys_missing`
 */
export function seal(
  json: string,
  of: SealedFor,
  keys: PayloadKeys,
  {
    isReplaced = false,
    keep = true,
    recipients,
  }: {
    readonly isReplaced?: boolean;
    readonly keep?: boolean;
    readonly recipients?: readonly string[] | undefined;
  } = {},
): string {
  const [first] = keys;
  if (first === undefined)
    throw new WaybillError(
      'payload_keys_missing',
      `${of.kind} ${of.name} is sensitive, and there is no key to seal its payload: set WAYBILL_PAYLOAD_KEYS, or give payloadKeys to createPostgresOutbox`,
    );
  const to = isReplaced ? 'deliveryKey' : 'id';
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv('aes-256-gcm', first.key, iv).setAAD(boundTo(of, to));
  const data = Buffer.concat([cipher.update(json, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  const $sealed: Sealed['$sealed'] = {
    key: first.id,
    to,
    iv: iv.toString('base64'),
    data: data.toString('base64'),
    ...(!keep && { keep }),
    ...(recipients && { recipients }),
  };
  return JSON.stringify({ $sealed } satisfies Sealed);
}

/**
 * @throws WaybillError `payload_key_missing` (the key's id is in the message), `payload_unreadable` (another row's payload, or a changed one)
 */
export function unseal(sealed: Sealed, of: SealedFor, keys: PayloadKeys): unknown {
  const { key: keyId, to, iv, data } = (sealed.$sealed ?? {}) as Partial<Sealed['$sealed']>;
  const its = keys.find(({ id }) => id === keyId);
  if (typeof keyId === 'string' && its === undefined)
    throw new WaybillError(
      'payload_key_missing',
      `the payload is sealed with the key ${JSON.stringify(keyId.slice(0, 32))}, which WAYBILL_PAYLOAD_KEYS does not have here: add it again`,
    );
  try {
    const bytes = Buffer.from(data!, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', its!.key, Buffer.from(iv!, 'base64'), {
      authTagLength: tagBytes,
    })
      .setAAD(boundTo(of, to!))
      .setAuthTag(bytes.subarray(-tagBytes));
    const json = Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]);
    return JSON.parse(json.toString('utf8')) as unknown;
  } catch (cause) {
    throw new WaybillError(
      'payload_unreadable',
      'the sealed payload cannot be opened: it was changed, copied from another message, or sealed with another key of the same id',
      [],
      { cause },
    );
  }
}

function boundTo({ id, kind, name, deliveryKey }: SealedFor, to: Sealed['$sealed']['to']): Buffer {
  return Buffer.from(to === 'id' ? `id ${id}` : `key ${JSON.stringify([kind, name, deliveryKey ?? null])}`);
}
