// A Redis URL, taken apart: BullMQ before 5.30 knows no URLs, and would open the Redis of this machine instead.

import { WaybillError } from '../errors.ts';

export type RedisAddress = {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  readonly tls?: object;
};

/** @throws WaybillError `invalid_from`; the message has no part of the URL */
export function readRedisUrl(url: string): RedisAddress {
  try {
    const { protocol, hostname, port, username, password, pathname } = new URL(url);
    const db = Number(pathname.slice(1));
    if (!Number.isInteger(db) || hostname === '') throw new RangeError('no number of a database');
    return {
      host: hostname.replaceAll(/[[\]]/g, ''), // of an IPv6 address
      port: Number(port) || 6_379,
      ...(username !== '' && { username: decodeURIComponent(username) }),
      ...(password !== '' && { password: decodeURIComponent(password) }),
      ...(db > 0 && { db }),
      ...(protocol === 'rediss:' && { tls: {} }),
    };
  } catch (error) {
    throw new WaybillError(
      'invalid_from',
      'the URL of --from must be like redis://user:password@host:6379/0; other characters in a user or password are written as %40, for example',
      [],
      { cause: error },
    );
  }
}
