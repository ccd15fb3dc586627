// Watches the database for all open event streams of this process: one statement a second while somebody waits for a change, and none otherwise.

import { changesBetween, readChanges, type Changing, type Snapshot } from '../operate/changes.ts';
import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import type { Clock, Milliseconds } from '../ports.ts';

export type Watcher = {
  /** The session that it ends with; null: it has a key. */
  readonly session: { readonly id: string; readonly until: number } | null;
  /** Statements that its reader sends when something has changed; 0: none. It is told again after as many seconds and one, for the next look. */
  readonly cost: number;
  /** What its reader has seen; undefined: it gets the changes from now on. */
  readonly seen: Snapshot | undefined;
  /** Something changed since it was told before, or half a minute has passed: then the list may be empty. */
  readonly changed: (what: readonly Changing[]) => void;
  /** Nothing has changed up to now; called every few seconds. */
  readonly same: () => void;
  /** Nothing is known; called every few seconds, so that proxies keep the connection. */
  readonly alive: () => void;
  readonly end: () => void;
};

export type Watch = {
  /**
   * @returns a function that ends the watching
   * @throws WaybillError `too_many_streams`, `shutting_down`
   */
  add(watcher: Watcher): () => void;
  /** Ends every watcher. */
  end(): void;
};

type Watching = Omit<Watcher, 'seen'> & {
  readonly since: Milliseconds;
  seen: Snapshot | undefined;
  toldAt: Milliseconds;
  wroteAt: Milliseconds;
};

const everyMs: Milliseconds = 1_000;
/** Ages and relative times on a page grow without a change of the database. */
const staleMs: Milliseconds = 30_000;
const sameMs: Milliseconds = 5_000;
const aliveMs: Milliseconds = 15_000;
/** A stream ends then, and its reader connects again: who it is, is checked anew. */
const longestMs: Milliseconds = 600_000;

/** Open streams of a process, and of one session: browsers open six connections to a host. */
const most = 200;
const mostOfSession = 4;

/** @throws WaybillError `too_many_streams` */
function checkRoom(watchers: ReadonlySet<Watching>, { session }: Watcher): void {
  const own = [...watchers].filter((one) => session !== null && one.session?.id === session.id);
  const why =
    watchers.size >= most
      ? `this process has ${most} open streams`
      : own.length >= mostOfSession
        ? `this session has ${mostOfSession} open streams`
        : undefined;
  if (why !== undefined)
    throw new WaybillError('too_many_streams', `${why}: close one, or ask again every few seconds instead`);
}

const isOver = ({ since, session }: Watching, now: Milliseconds): boolean =>
  now - since >= longestMs || (session !== null && Date.now() >= session.until);

/** Whether its reader may send so many statements again. */
const isReady = ({ seen, cost, toldAt }: Watching, now: Milliseconds): boolean =>
  seen === undefined || cost === 0 || now - toldAt >= (cost + 1) * 1_000;

function tell(watcher: Watching, now: Milliseconds, snapshot: Snapshot): void {
  const isNew = watcher.seen === undefined;
  const what = changesBetween(watcher.seen ?? snapshot, snapshot);
  watcher.seen = snapshot;
  if (what.length > 0 || now - watcher.toldAt >= staleMs) {
    watcher.toldAt = watcher.wroteAt = now;
    watcher.changed(what);
  } else if (isNew || now - watcher.wroteAt >= sameMs) {
    watcher.wroteAt = now;
    watcher.same();
  }
}

function keepAlive(watcher: Watching, now: Milliseconds): void {
  if (now - watcher.wroteAt < aliveMs) return;
  watcher.wroteAt = now;
  watcher.alive();
}

/** One statement, if a watcher is ready. @returns those that are to end, because their session was signed out */
async function look(
  db: Executor,
  watchers: ReadonlySet<Watching>,
  now: Milliseconds,
): Promise<readonly Watching[]> {
  const ready = [...watchers].filter((one) => isReady(one, now));
  if (ready.length === 0) return [];
  const sessions = new Set([...watchers].flatMap(({ session }) => session?.id ?? []));
  const { snapshot, endedSessions } = await readChanges(db, [...sessions]);
  const isEnded = ({ session }: Watching): boolean => session !== null && endedSessions.includes(session.id);
  for (const one of ready) if (watchers.has(one) && !isEnded(one)) tell(one, now, snapshot);
  return [...watchers].filter(isEnded);
}

function drop(watchers: Set<Watching>, ending: readonly Watching[]): void {
  for (const one of ending) {
    watchers.delete(one);
    one.end();
  }
}

/** @param failed called when a look begins to fail, and not again until one has succeeded: the readers see the age of what they show */
export function createChangeWatch(db: Executor, clock: Clock, failed: (error: unknown) => void): Watch {
  const watchers = new Set<Watching>();
  let timer: NodeJS.Timeout | undefined;
  let steppedAt = -Infinity;
  let isEnding = false;
  let isFailing = false;

  async function step(): Promise<void> {
    const now = (steppedAt = clock.now());
    drop(
      watchers,
      [...watchers].filter((one) => isOver(one, now)),
    );
    try {
      drop(watchers, await look(db, watchers, now));
      isFailing = false;
    } catch (error) {
      if (!isFailing) failed(error);
      isFailing = true;
    }
    for (const one of watchers) keepAlive(one, now);
    timer = undefined;
    if (watchers.size > 0) again();
  }

  function again(): void {
    const ms = Math.max(0, steppedAt + everyMs - clock.now());
    if (!isEnding) timer ??= setTimeout(() => void step(), ms).unref();
  }

  return {
    add(watcher) {
      if (isEnding) throw new WaybillError('shutting_down', 'this process is shutting down: connect again');
      checkRoom(watchers, watcher);
      const since = clock.now();
      const watching: Watching = { ...watcher, since, toldAt: since, wroteAt: since };
      watchers.add(watching);
      again();
      return () => void watchers.delete(watching);
    },
    end() {
      isEnding = true;
      clearTimeout(timer);
      drop(watchers, [...watchers]);
    },
  };
}
