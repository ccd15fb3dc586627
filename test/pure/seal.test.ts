// Sealed payloads. Real: Node's crypto. Doubled: nothing.

import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isDropped,
  isSealed,
  parsePayloadKeys,
  seal,
  unseal,
  type PayloadKeys,
  type Sealed,
} from '../../src/message/seal.ts';

const textOf = (id: string, key = randomBytes(32)): string => `${id}:${key.toString('base64')}`;
const keysOf = (text: string): PayloadKeys => {
  const keys = parsePayloadKeys(text);
  if ('problem' in keys) throw new Error(keys.problem);
  return keys;
};
const [old, young] = [textOf('2025'), textOf('2026')];
const of = { id: '0190b5a0-0000-7000-8000-000000000000', kind: 'job', name: 'pay', deliveryKey: null };
const sealed = (payload: unknown, keys = young, about?: Parameters<typeof seal>[3]): Sealed =>
  JSON.parse(seal(JSON.stringify(payload), of, keysOf(keys), about)) as Sealed;

describe('a sealed payload', () => {
  it('is opened to what it was, and shows nothing of it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (payload) => {
        const json = JSON.parse(JSON.stringify(payload)) as unknown;
        expect(unseal(sealed(json), of, keysOf(young))).toEqual(json);
      }),
    );
    const secret = sealed({ iban: 'DE02 1203 0000 0000 2020 51' });
    expect(isSealed(secret)).toBe(true);
    expect(JSON.stringify(secret)).not.toMatch(/iban|DE02/);
  });

  it('is never the same twice', () => {
    expect(sealed('tea').$sealed.iv).not.toBe(sealed('tea').$sealed.iv);
    expect(sealed('tea').$sealed.data).not.toBe(sealed('tea').$sealed.data);
  });

  it('is opened by every key of the list, and sealed by the first', () => {
    const before = sealed('tea', old);
    expect(unseal(before, of, keysOf(`${young},${old}`))).toBe('tea');
    expect(sealed('tea', `${young},${old}`).$sealed.key).toBe('2026');
    expect(() => unseal(before, of, keysOf(young))).toThrow(/the key "2025"/);
  });

  it('is bound to its message, or to its delivery key where a later recording may replace it', () => {
    const other = { ...of, id: of.id.replace('7000', '7001') };
    expect(() => unseal(sealed('tea'), other, keysOf(young))).toThrow(/copied from another message/);
    const keyed = { ...of, deliveryKey: 'order-7' };
    const replaced = JSON.parse(seal('"tea"', keyed, keysOf(young), { isReplaced: true })) as Sealed;
    expect(unseal(replaced, { ...keyed, id: other.id }, keysOf(young))).toBe('tea');
    expect(() => unseal(replaced, { ...keyed, deliveryKey: 'order-8' }, keysOf(young))).toThrow(
      /cannot be opened/,
    );
  });

  it('is refused when a bit of it has changed, and when it is not one', () => {
    const { $sealed } = sealed({ cents: 450 });
    for (let i = 0; i < 20; i++) {
      const bytes = Buffer.from($sealed.data, 'base64');
      bytes[i]! ^= 1;
      const changed = { $sealed: { ...$sealed, data: bytes.toString('base64') } };
      expect(() => unseal(changed, of, keysOf(young))).toThrow(/cannot be opened/);
    }
    for (const broken of [{ data: '' }, { iv: 7 }, { data: null }, { to: 'nobody' }, { key: 7 }])
      expect(() => unseal({ $sealed: { ...$sealed, ...broken } as never }, of, keysOf(young))).toThrow(
        /cannot be opened/,
      );
    expect(() => unseal({ $sealed: null } as never, of, keysOf(young))).toThrow(/cannot be opened/);
  });

  it('says whether it is dropped after the delivery', () => {
    expect(isDropped(sealed('tea', young, { keep: false }))).toBe(true);
    expect(isDropped(sealed('tea'))).toBe(false);
    expect(isDropped({ keep: false })).toBe(false);
  });

  it('needs a key', () => {
    expect(() => seal('1', of, [])).toThrow(/WAYBILL_PAYLOAD_KEYS/);
  });
});

describe('WAYBILL_PAYLOAD_KEYS', () => {
  const key = randomBytes(32).toString('base64');
  it.each([
    ['', /entry 1/],
    [key, /entry 1/],
    [`a:${key.slice(4)}`, /entry 1/],
    [`a:${key},`, /entry 2/],
    [`a b:${key}`, /entry 1/],
    [`a:${key},a:${randomBytes(32).toString('base64')}`, /id a is there twice/],
    [`a:${key},b:${key}`, /key of b is there twice/],
    [`a:${randomBytes(16).toString('base64')}`, /32 bytes/],
  ])('refuses %j', (text, message) => {
    const parsed = parsePayloadKeys(text);
    expect(parsed).toMatchObject({ problem: expect.stringMatching(message) as string });
    expect(JSON.stringify(parsed)).not.toContain(key.slice(4, 30));
  });

  it('takes base64 and base64url', () => {
    const bytes = Buffer.alloc(32, 0xff);
    for (const text of [bytes.toString('base64'), bytes.toString('base64url')])
      expect(keysOf(`a:${text}`)[0]!.key).toEqual(bytes);
  });
});
