// A pool of pg that gets along with little. The server takes no more connections: what this process has is shared out. A connection has died in
// silence: the others of the process that rest are dropped, instead of being tried one after another, for 12 s each (FACTS 5).

import pg from 'pg';
import type { Milliseconds } from '../ports.ts';
import { after, pause, type Timer } from '../timer.ts';
import { diagnose, sqlState } from './diagnosis.ts';
import { markError } from './executor.ts';

/** The pools of one process that lead to the same server: what one learns, all know. */
export type Kin = {
  /** A connection proved dead. */
  broke(): void;
  /** Connections at most, by the name of a pool. */
  resize(sizes: Readonly<Record<string, number>>): void;
  sizeOf(name: string | undefined): number | undefined;
  join(member: Member): void;
};

type Member = { onBroken(): void; onResize(): void };

export function createKin(): Kin {
  const members: Member[] = [];
  let known: Readonly<Record<string, number>> = {};
  return {
    broke() {
      for (const member of members) member.onBroken();
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
  /** Under which its kin knows its size. */
  readonly name?: string | undefined;
};

/** After a refusal the pool asks for no more connections than it has for so long. */
const restMs: Milliseconds = 5_000;
/** A process that has none asks again after this. */
const againMs: Milliseconds = 100;

export function openCarefulPool(config: pg.PoolConfig, options: CarefulPool): pg.Pool {
  const { connectMs, onIdleError, kin } = options;
  const most = (): number => Math.max(1, kin?.sizeOf(options.name) ?? options.max);
  const pool = new pg.Pool({ ...config, max: most(), idleTimeoutMillis: 60_000 });
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  let raising: Timer | undefined;

  const raise = (): void => void (pool.options.max = most());

  /** What it has is all that it gets for now: whoever asks waits until one of these is free. */
  function makeDo(): void {
    pool.options.max = Math.max(1, Math.min(pool.options.max, pool.totalCount));
    raising?.stop();
    raising = after(restMs, raise).unref();
  }

  async function connectCarefully(): Promise<pg.PoolClient> {
    const deadline = performance.now() + connectMs;
    for (;;) {
      try {
        return await connect();
      } catch (error) {
        if (pool.ending) throw error;
        if (isFull(error)) throw exhausted();
        if (!isRefused(error) || performance.now() > deadline) throw error;
        if (pool.totalCount > 0) makeDo();
        else await pause(againMs);
      }
    }
  }

  /** pg's own timeout, while all that the pool may have are in use: no server is at fault. */
  const isFull = (error: unknown): boolean =>
    error instanceof Error && waited.test(error.message) && pool.totalCount >= pool.options.max;

  function exhausted(): Error {
    const text = `all ${pool.options.max} connections of this process are in use, and none became free within ${connectMs / 1000} s`;
    return new Error(text);
  }

  /** They are asked for and thrown away: an idle one is handed out at once. Busy ones have timeouts of their own. */
  function dropIdle(): void {
    for (let left = pool.idleCount; left > 0 && !pool.ending; left--)
      connect().then(
        (client) => client.release(true),
        () => undefined,
      );
  }

  // Of both forms: pg's own `query` uses the one with a callback.
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
  kin?.join({ onBroken: dropIdle, onResize: raise });
  return pool;
}

const waited = /timeout exceeded when trying to connect/;

function isRefused(error: unknown): boolean {
  return diagnose(markError(error))?.condition === 'connections_exhausted';
}

/** No answer, or none any more: a timeout of pg's, a socket's error. A server that says what it refuses is alive. */
function provesDead(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const state = sqlState(error);
  if (state !== undefined) return state.startsWith('57P0') || state.startsWith('08');
  return /read timeout|Connection terminated|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/.test(
    `${error.message} ${String((error as { code?: unknown }).code)}`,
  );
}
