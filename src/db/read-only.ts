// Leaves a server that takes no writes. After a failover its address leads to the new primary, but only for new connections.

import type pg from 'pg';
import type { Milliseconds } from '../ports.ts';
import { isReadOnly } from './diagnosis.ts';
import { markError } from './executor.ts';

/** What this file needs of a client of pg. */
type Client = {
  readonly connection: { prependListener(event: 'errorMessage', listener: (error: Error) => void): unknown };
};

export type Leaving = {
  /** Every present connection is to be closed before its next use. At most once a second: a server may be read-only for hours. */
  leave(): void;
  isLeft(client: pg.PoolClient): boolean;
};

const everyMs: Milliseconds = 1_000;

/**
 * The refusal is seen on the connection, whoever sent the statement and whatever became of the error: a handler may throw another one.
 * @param refused called for each statement that the server refused as read-only
 */
export function watchForReadOnly(pool: pg.Pool, refused: () => void): Leaving {
  const opened = new WeakMap<pg.PoolClient, number>();
  let generation = 0;
  let left = -Infinity;
  pool.on('connect', (client) => {
    opened.set(client, generation);
    (client as unknown as Client).connection.prependListener('errorMessage', (error) => {
      if (!isReadOnly(error)) return;
      markError(error); // a query builder's statement is ours too, and not one of the application's own pools
      refused();
    });
  });
  return {
    leave() {
      if (performance.now() - left < everyMs) return;
      left = performance.now();
      generation++;
    },
    isLeft: (client) => opened.get(client) !== generation,
  };
}
