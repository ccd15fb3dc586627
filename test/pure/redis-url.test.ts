// The address of a Redis, as versions of BullMQ need it that know no URLs.

import { describe, expect, it } from 'vitest';
import { readRedisUrl } from '../../src/transfer/redis-url.ts';

describe('the URL of a Redis', () => {
  it.each<[string, object]>([
    ['redis://redis.internal', { host: 'redis.internal', port: 6379 }],
    ['redis://[::1]:7000/2', { host: '::1', port: 7000, db: 2 }],
    ['redis://:p%40ss@host/', { host: 'host', port: 6379, password: 'p@ss' }],
    [
      'rediss://user:pw@host:6380/0?family=6',
      { host: 'host', port: 6380, username: 'user', password: 'pw', tls: {} },
    ],
  ])('%s', (url, address) => {
    expect(readRedisUrl(url)).toEqual(address);
  });

  it.each(['redis://', 'redis://host/name', 'redis://u:geheim%@host', 'redis://geheim:[x'])(
    'is refused without a word of it: %s',
    (url) => {
      expect(() => readRedisUrl(url)).toThrow(
        expect.objectContaining({
          code: 'invalid_from',
          message: expect.not.stringContaining('geheim') as string,
        }) as Error,
      );
    },
  );
});
