// Finds everything that holds a person's address, and erases it: a walk over every table of ours in bounded pages. A page of an erasure is one transaction,
// so a crash leaves none half done, and a repeat goes on with what is left.

import { sqlState } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import { beginning, type Transactions } from '../db/transaction.ts';
import type { Milliseconds } from '../ports.ts';
import { cursorAfter, placeOfCursor, type Listed } from './cursor.ts';
import { eraseAddressed, findAddressed, mostCounted, pageOfMentions } from './person-messages.ts';
import { hashOf, needleOf, type Needle } from './person-needle.ts';
import { places } from './person-places.ts';
import { samples, scanSql, type Scanned } from './person-scan.ts';

/** What was found in one place, and erased there. Pages of a walk are summed up by `sumOfPlaces`. */
export type PlaceFound = {
  /** `messages`: emails to the address. `mentions`: other messages that have it. The others are named after their tables. */
  readonly place: string;
  readonly found: number;
  /** There are more than `found`. */
  readonly atLeast: boolean;
  /** Of an erasure. `found - erased` are left: see `note`. */
  readonly erased: number;
  /** Of messages: how many were found in each state, before anything was erased. */
  readonly byStatus: Readonly<Record<string, number>>;
  /** Up to ten ids: of messages, acts or runs, or names of queues. */
  readonly ids: readonly string[];
  /** Up to ten ids of what an erasure left. */
  readonly left: readonly string[];
  readonly note: string;
};

export type PersonPage = {
  /** The hash that stands for the address, here and in the audit. */
  readonly person: string;
  /** Only places where something was found by this page. */
  readonly places: readonly PlaceFound[];
  /** Rows that this page read. */
  readonly read: number;
  /** Null: everything was read. */
  readonly nextCursor: string | null;
};

export type PersonOptions = {
  readonly cursor?: string | undefined;
  /** A page ends after this time; each of its statements takes at most two seconds. Default: 5 s. */
  readonly withinMs?: Milliseconds | undefined;
};

/** Notes of the walk's first two steps; those of the others are in `places`. */
const notes = {
  messages:
    'emails to it: what waits is cancelled; what is being delivered is left until its attempt has ended',
  mentions:
    'payloads, keys, tags and errors with it; what is being delivered is left, and keys until the message has ended',
} as const;

const steps = ['messages', 'mentions', ...places.map(({ name }) => name)];

/** How far a walk is: the step, and the key of the last row that was read. */
type Position = { readonly step: number; readonly after: readonly string[] | null };

const start: Position = { step: 0, after: null };

const firstRows = 500;
const fewestRows = 10;
const mostRows = 20_000;
/** A page of rows that takes longer is followed by one of half as many, one that takes less than a fourth by one of twice as many. */
const pageMs: Milliseconds = 400;
const statementMs: Milliseconds = 2_000;
const defaultMs: Milliseconds = 5_000;

/** Rows are read in the order of their keys, whatever the statistics say. */
export const beginPage = (step: number): string =>
  `${beginning}; set local statement_timeout = ${statementMs}; set local enable_seqscan = off${
    step === 0 ? '' : '; set local enable_sort = off; set local enable_bitmapscan = off'
  }`;

/** Called in the transaction of each page. */
export type OnPage = (
  tx: Executor,
  page: { readonly person: string; readonly isFirst: boolean; readonly found: PlaceFound },
) => Promise<void>;

/**
 * Reads on from the cursor for a while.
 * @param recipient `ann@example.com` or `Ann <ann@example.com>`
 * @param note of an erasure: who does it and why, for the timelines of messages; null: nothing is changed
 * @throws WaybillError `invalid_address`, `invalid_cursor`
 */
export async function walkPerson(
  db: Transactions & Executor,
  recipient: string,
  { cursor, withinMs = defaultMs }: PersonOptions,
  note: string | null,
  onPage: OnPage = async () => undefined,
): Promise<PersonPage> {
  const needle = needleOf(recipient);
  const list = note === null ? 'find person' : 'erase person';
  const listed = { list, filter: { addresses: needle.addresses } };
  let position: Position | null = cursor === undefined ? start : positionOf(cursor, listed);
  const person = await hashOf(db, needle);
  const end = performance.now() + withinMs;
  let isFirst = cursor === undefined;
  let rows = firstRows;
  let read = 0;
  let found: readonly PlaceFound[] = [];
  do {
    const page: Step & Pace = await pageOf(db, needle, position, { rows, note }, async (tx, one) =>
      onPage(tx, { person, isFirst, found: one.found }),
    );
    position = page.next;
    read += page.read;
    found = sumOfPlaces([...found, page.found]);
    isFirst = false;
    rows = page.rows;
  } while (position !== null && performance.now() < end);
  const nextCursor = position && cursorAfter(JSON.stringify([position.step, position.after]), listed);
  return { person, places: found, read, nextCursor };
}

/** One page in its transaction, and how many rows the next one may read. After a timeout the same rows are read in smaller pages. */
async function pageOf(
  db: Transactions,
  needle: Needle,
  at: Position,
  { rows, note }: Pace,
  within: (tx: Executor, page: Step) => Promise<void>,
): Promise<Step & Pace> {
  const began = performance.now();
  try {
    const page = await db.transaction(async (tx) => {
      const one = await step(tx, needle, at, { rows, note });
      await within(tx, one);
      return one;
    }, beginPage(at.step));
    return { ...page, note, rows: paced(rows, performance.now() - began) };
  } catch (error) {
    if (sqlState(error) !== '57014' || at.step === 0 || rows === fewestRows) throw error;
    return pageOf(db, needle, at, { rows: Math.max(fewestRows, Math.floor(rows / 4)), note }, within);
  }
}

function paced(rows: number, tookMs: Milliseconds): number {
  if (tookMs > pageMs) return Math.max(fewestRows, Math.floor(rows / 2));
  return tookMs < pageMs / 4 ? Math.min(mostRows, rows * 2) : rows;
}

/** @throws WaybillError `invalid_cursor` */
function positionOf(cursor: string, listed: Listed): Position {
  const [step, after] = JSON.parse(placeOfCursor(cursor, listed)) as [number, string[] | null];
  return { step, after };
}

type Step = { readonly next: Position | null; readonly read: number; readonly found: PlaceFound };
type Pace = { readonly rows: number; readonly note: string | null };

const following = (step: number): Position | null =>
  step + 1 < steps.length ? { step: step + 1, after: null } : null;

async function step(tx: Executor, needle: Needle, at: Position, pace: Pace): Promise<Step> {
  if (at.step === 0) return addressedStep(tx, needle, pace);
  if (at.step === 1) return mentionsStep(tx, needle, at, pace);
  const place = places[at.step - 2]!;
  const { rows, note } = pace;
  const { text, values } = scanSql(place, needle, at.after, { rows, erases: note !== null });
  const { read, last, found, erased, ids } = (await tx.executeSql<Scanned>(text, values)).rows[0]!;
  const left = note !== null && erased < found ? ids : [];
  return {
    next: read < rows ? following(at.step) : { step: at.step, after: last },
    read,
    found: { place: place.name, found, atLeast: false, erased, byStatus: {}, ids, left, note: place.note },
  };
}

async function addressedStep(tx: Executor, needle: Needle, { note }: Pace): Promise<Step> {
  const all = note !== null ? await eraseAddressed(tx, needle, note) : await findAddressed(tx, needle);
  const { found, erased, byStatus, ids, left, read } = all;
  return {
    next: note !== null && erased > 0 ? { step: 0, after: null } : following(0),
    read,
    found: {
      place: 'messages',
      found,
      atLeast: read > mostCounted,
      erased,
      byStatus,
      ids,
      left,
      note: notes.messages,
    },
  };
}

async function mentionsStep(tx: Executor, needle: Needle, at: Position, { rows, note }: Pace): Promise<Step> {
  const page = await pageOfMentions(tx, needle, at.after?.[0] ?? null, { rows, note });
  const { read, last, found, erased, byStatus, ids, left } = page;
  return {
    next: read < rows ? following(1) : { step: 1, after: last },
    read,
    found: { place: 'mentions', found, atLeast: false, erased, byStatus, ids, left, note: notes.mentions },
  };
}

/** The places of several pages, in the order of the walk; those without anything are left out. */
export function sumOfPlaces(pages: readonly PlaceFound[]): PlaceFound[] {
  const sums = new Map<string, PlaceFound>();
  for (const one of pages) {
    const sum = sums.get(one.place);
    if (one.found === 0) continue;
    sums.set(one.place, sum ? plus(sum, one) : one);
  }
  return [...sums.values()];
}

function plus(a: PlaceFound, b: PlaceFound): PlaceFound {
  const byStatus = { ...a.byStatus };
  for (const [status, n] of Object.entries(b.byStatus)) byStatus[status] = (byStatus[status] ?? 0) + n;
  return {
    ...a,
    found: a.found + b.found,
    atLeast: a.atLeast || b.atLeast,
    erased: a.erased + b.erased,
    byStatus,
    ids: [...new Set([...a.ids, ...b.ids])].slice(0, samples),
    left: [...new Set([...a.left, ...b.left])].slice(0, samples),
  };
}

/** What an erasure left for now; 0: nothing. Rows that stay for good, such as those of the audit, are not among them. */
export function leftOf(found: readonly PlaceFound[]): number {
  const kept = new Set(places.filter(({ erase }) => erase === 'keep').map(({ name }) => name));
  return found.reduce((sum, one) => sum + (kept.has(one.place) ? 0 : one.found - one.erased), 0);
}
