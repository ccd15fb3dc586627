// Cuts a process off from the database at each of its requests in turn, and lets another process go on: what is there in the end must be what is
// there without a cut.

import { expect } from 'vitest';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { wireTo, type Side } from './severing.ts';

export type Story<Seen> = {
  /** Makes the database as it is before the story. */
  reset(): Promise<void>;
  /** What the process does, up to its end. @param db its only way to the database */
  live(db: Database, url: string): Promise<void>;
  /** What another process does after a cut. Default: the same. */
  recover?(): Promise<void>;
  /** What is there in the end, without ids and times. */
  look(): Promise<Seen>;
};

type Told<Seen> = { readonly seen: Seen; readonly crashed: boolean; readonly requests: number };

async function tell<Seen>(story: Story<Seen>, url: string, side: Side, point?: number): Promise<Told<Seen>> {
  await story.reset();
  const wire = await wireTo(url, point, side);
  const db = databaseAt(wire.url);
  try {
    await Promise.race([story.live(db, wire.url), wire.broken]);
  } catch (error) {
    if (!wire.isBroken) throw error;
  }
  const { isBroken: crashed } = wire;
  await wire.end();
  void db.end().catch(() => undefined);
  if (crashed) await (story.recover ?? (() => again(story, url)))();
  return { seen: await story.look(), crashed, requests: wire.requests() };
}

const databaseAt = (url: string): Database =>
  openDatabase({ url, max: 2, applicationName: 'cut', onIdleError: () => undefined });

async function again<Seen>({ live }: Story<Seen>, url: string): Promise<void> {
  const db = databaseAt(url);
  try {
    await live(db, url);
  } finally {
    await db.end();
  }
}

export type Cuts = { readonly requests: number; readonly cuts: number };

/**
 * @param stride 1: at each request; n: at every nth, from a random one among the first n
 * @returns how many requests the whole story has, and at how many it was cut
 */
export async function cutEverywhere<Seen>(
  story: Story<Seen>,
  url: string,
  side: Side,
  stride = 1,
): Promise<Cuts> {
  const { seen: whole, requests } = await tell(story, url, side);
  for (let [point, cuts] = [Math.floor(Math.random() * stride), 0]; ; point += stride, cuts++) {
    const { seen, crashed } = await tell(story, url, side, point);
    expect(seen, `after a cut ${side} request ${point}`).toEqual(whole);
    if (!crashed) return { requests, cuts };
  }
}
