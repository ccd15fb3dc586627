// A pool of pg that copes with a full server and with dead connections. When the server refuses more connections, the pool makes do with those that
// it has. When one connection died silently, this process drops its idle ones instead of trying each for 12 s. Busy ones: silence.ts. When the server
// takes no writes, no connection to it is used again: read-only.ts.

import pg from 'pg';
import type { Milliseconds } from '../ports.ts';
import { after, pause, type Timer } from '../timer.ts';
import { diagnose, sqlState } from './diagnosis.ts';
import { markError } from './executor.ts';
import { watchForReadOnly } from './read-only.ts';
import { watchForSilence } from './silence.ts';

/** The pools of one process that lead to the same server. They share what one of them finds out. */
export type Kin = {
  /** Reports a dead connection. */
  broke(): void;
  /** Reports that the server takes no writes. */
  refused(): void;
  /** Sets each pool's maximum number of connections, by its name. */
  resize(sizes: Readonly<Record<string, number>>): void;
  sizeOf(name: string | undefined): number | undefined;
  join(member: Member): void;
};

type Member = { onBroken(): void; onRefused(): void; onResize(): void };

export function createKin(): Kin {
  const members: Member[] = [];
  let known: Readonly<Record<string, number>> = {};
  return {
    broke() {
      for (const member of members) member.onBroken();
    },
    refused() {
      for (const member of members) member.onRefused();
    },
    resize(sizes) {
      known = sizes;
      for (const member of members) member.onResize();
    },
    sizeOf: (name) => (name === undefined ? undefined : known[name]),
    join: (member) => void members.push(member),
  };
}

export type CarefulPool = {
  readonly max: number;
  readonly connectMs: Milliseconds;
  readonly onIdleError: (error: Error) => void;
  readonly kin?: Kin | undefined;
  /** The name of this pool among `kin`. */
  readonly name?: string | undefined;
};

/** A connection without use closes after this time. What a burst of requests opened, other processes of a small server wait for. */
const idleMs: Milliseconds = 10_000;
/** After a refusal, the pool asks for no more connections than it has for this time. */
const restMs: Milliseconds = 5_000;
/** A pool without a connection asks again after this time. */
const againMs: Milliseconds = 100;

// oxlint-disable-next-line max-lines-per-function -- methods over the state of one pool
export function openCarefulPool(config: pg.PoolConfig, options: CarefulPool): pg.Pool {
  const { connectMs, onIdleError, kin } = options;
  const most = (): number => Math.max(1, kin?.sizeOf(options.name) ?? options.max);
  const pool = new pg.Pool({ ...config, max: most(), idleTimeoutMillis: idleMs });
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  let raising: Timer | undefined;

  const raise = (): void => void (pool.options.max = most());

  /** Limits the pool to its present connections: a caller waits until one of them is released. */
  function makeDo(): void {
    pool.options.max = Math.max(1, Math.min(pool.options.max, pool.totalCount));
    raising?.stop();
    raising = after(restMs, raise).unref();
  }

  async function connectCarefully(): Promise<pg.PoolClient> {
    const deadline = performance.now() + connectMs;
    for (;;) {
      try {
        const client = await connect();
        if (!server.isLeft(client)) return client;
        client.release(true);
      } catch (error) {
        if (pool.ending) throw error;
        if (isFull(error)) throw exhausted();
        if (!isRefused(error) || performance.now() > deadline) throw error;
        if (pool.totalCount > 0) makeDo();
        else await pause(againMs);
      }
    }
  }

  /** pg's own timeout while all connections of the pool are in use: the server is not at fault. */
  const isFull = (error: unknown): boolean =>
    error instanceof Error && waited.test(error.message) && pool.totalCount >= pool.options.max;

  function exhausted(): Error {
    const text = `all ${pool.options.max} connections of this process are in use, and none became free within ${connectMs / 1000} s`;
    return new Error(text);
  }

  /** Takes idle connections and closes them: the pool hands out an idle one at once. Busy ones: silence.ts. */
  function dropIdle(): void {
    for (let left = pool.idleCount; left > 0 && !pool.ending; left--)
      connect().then(
        (client) => client.release(true),
        () => undefined,
      );
  }

  // Both forms: pg's own `query` uses the one with a callback.
  pool.connect = ((told?: (error: Error | undefined, client?: pg.PoolClient, done?: unknown) => void) => {
    const connected = connectCarefully();
    if (!told) return connected;
    return void connected.then(
      (client) => told(undefined, client, client.release),
      (error: Error) => told(error, undefined, () => undefined),
    );
  }) as typeof pool.connect;
  pool.on('error', onIdleError);
  pool.on('release', (error: unknown) => {
    if (provesDead(error)) (kin ?? { broke: dropIdle }).broke();
  });
  watchForSilence(pool, config);
  const server = watchForReadOnly(pool, () => (kin ? kin.refused() : server.leave()));
  kin?.join({ onBroken: dropIdle, onRefused: server.leave, onResize: raise });
  return pool;
}

const waited = /timeout exceeded when trying to connect/;

function isRefused(error: unknown): boolean {
  return diagnose(markError(error))?.condition === 'connections_exhausted';
}

/** No answer, or no connection any more: a timeout of pg, or a socket error. A server that refuses with an error is alive. */
function provesDead(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const state = sqlState(error);
  if (state !== undefined) return state.startsWith('57P0') || state.startsWith('08');
  return /read timeout|Connection terminated|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/.test(
    `${error.message} ${String((error as { code?: unknown }).code)}`,
  );
}
