// What a filter says of the contents of messages: their keys, recipients, tags, and values in their payloads.

import { WaybillError } from '../errors.ts';

export type Contents = {
  /** The beginning of the delivery key. */
  readonly keyPrefix?: string | undefined;
  /** Emails to one of these addresses, as to, cc or bcc; case is ignored. */
  readonly to?: readonly string[] | undefined;
  /** Messages with every one of these tags. */
  readonly tag?: readonly string[] | undefined;
  /** Path in the payload, with dots, to the value there as text: `{ 'customer.id': '7' }`. At most 5. */
  readonly payload?: Readonly<Record<string, string>> | undefined;
};

const mostPaths = 5;

/**
 * @param texts `customer.id=7` each
 * @returns undefined without any
 * @throws WaybillError `invalid_filter`
 */
export function readPaths(texts: readonly string[]): Readonly<Record<string, string>> | undefined {
  if (texts.length === 0) return undefined;
  const pairs = texts.map((text): readonly [string, string] => {
    const [, path = '', value = ''] = /^([^=]*)=([^]+)$/.exec(text) ?? [];
    if (/^[^.]{1,100}(?:\.[^.]{1,100}){0,9}$/.test(path)) return [path, value];
    throw new WaybillError(
      'invalid_filter',
      'payload must look like customer.id=7: 1 to 10 names with dots between them, and a value',
    );
  });
  if (new Set(pairs.map(([path]) => path)).size === pairs.length && pairs.length <= mostPaths)
    return Object.fromEntries(pairs);
  throw new WaybillError('invalid_filter', `payload may be given for ${mostPaths} paths, once for each`);
}

export const given = <T>(part: readonly T[] | undefined): part is readonly [T, ...T[]] =>
  part !== undefined && part.length > 0;

/** Adds a condition on a value, whose parameter the condition names. */
export type Add = (condition: (value: string) => string, value: unknown) => void;

export function addContents({ keyPrefix, to, tag, payload }: Contents, add: Add): void {
  if (keyPrefix !== undefined) add((v) => `starts_with(coalesce(delivery_key, shared_key), ${v})`, keyPrefix);
  if (given(to))
    add((v) => `recipient_hashes && array(select waybill.email_hash(a) from unnest(${v}::text[]) a)`, to);
  if (given(tag)) add((v) => `tags @> ${v}::text[]`, tag);
  for (const [path, value] of Object.entries(payload ?? {}))
    add((v) => `payload #>> (${v}::text[])[2:] = (${v}::text[])[1]`, [value, ...path.split('.')]);
}
