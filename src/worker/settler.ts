// Writes settlements in batches. Each is retried until the database accepts or refuses it: otherwise every short outage would cause duplicates
// (invariant D). One that breaks its batch is written alone.

import { setImmediate as turn } from 'node:timers/promises';
import { isUnreachable, sqlState } from '../db/diagnosis.ts';
import type { Settlement } from '../message/outcome.ts';
import type { OutboxPort, Settled } from '../outbox/port.ts';
import type { Milliseconds } from '../ports.ts';
import { reasonOf } from '../redaction/reason.ts';

export type Settler = {
  /** Resolves with what was recorded, or with undefined if the token was stale. */
  settle(settlement: Settlement): Promise<Settled | undefined>;
  /** The same without a promise. */
  record(settlement: Settlement, attempt: Settling): void;
  /** Settlements that wait, and statements that run. */
  pending(): number;
};

/** An attempt whose end is recorded. */
export type Settling = {
  /** Undefined: the token was stale. Does not throw. */
  recorded(settled: Settled | undefined): void;
};

type Waiting = { settlement: Settlement; attempt: Settling };

export type SettlerOptions = {
  readonly outbox: OutboxPort;
  readonly onRetry: (settlements: number, error: unknown) => void;
  readonly pause: (ms: Milliseconds) => Promise<void>;
  /** How long the first of a batch waits for others: a statement costs the same for one as for twenty. */
  readonly gather?: () => Milliseconds;
};

const batch = 500;
/**
 * A quarter of what may be in flight. At this size a batch stops gathering. If this many wait while a statement runs, a second one begins: one
 * waits for the disk while the other works.
 */
const secondWriterAt = 250;

// oxlint-disable-next-line max-lines-per-function -- methods over one batch that is being gathered
export function createSettler({ outbox, onRetry, pause, gather = () => 0 }: SettlerOptions): Settler {
  let queue: Waiting[] = [];
  let writing = 0;

  async function drain(): Promise<void> {
    writing++;
    await Promise.resolve(); // ends of the same event-loop turn go into the same batch
    while (queue.length > 0) {
      const ms = gather();
      if (ms > 0) await pause(ms);
      await gatherMore();
      if (queue.length > 0) await write(takeAlike()); // the other writer may have taken them
    }
    writing--;
  }

  /** Waits while each turn of the event loop adds more: short deliveries end as fast as they begin. */
  async function gatherMore(): Promise<void> {
    for (let seen = 0; seen < queue.length && queue.length < secondWriterAt;) {
      seen = queue.length;
      await turn();
    }
  }

  /** Delivered messages and all others have separate statements (src/outbox/settle.ts). */
  function takeAlike(): Waiting[] {
    const isDelivered = queue[0]!.settlement.to === 'delivered';
    const [taken, left]: [Waiting[], Waiting[]] = [[], []];
    for (const one of queue)
      (taken.length < batch && (one.settlement.to === 'delivered') === isDelivered ? taken : left).push(one);
    queue = left;
    return taken;
  }

  async function write(batchOf: readonly Waiting[]): Promise<void> {
    for (let delay = 50; ; delay = Math.min(1_000, delay * 2)) {
      try {
        const settled = await outbox.settle(batchOf.map((one) => one.settlement));
        const byId = new Map<string, Settled>();
        for (const one of settled) byId.set(one.id, one);
        for (const { settlement, attempt } of batchOf) attempt.recorded(byId.get(settlement.id));
        return;
      } catch (error) {
        onRetry(batchOf.length, error);
        if (!isPassing(error)) return apart(batchOf, error);
        await pause(delay);
      }
    }
  }

  /** The database, or a check before it, refuses the data of one settlement. */
  async function apart(batchOf: readonly Waiting[], error: unknown): Promise<void> {
    if (batchOf.length > 1) {
      for (const one of batchOf) await write([one]);
      return;
    }
    const { settlement, attempt } = batchOf[0]!;
    const { id, claimToken } = settlement;
    const simpler = inAscii(settlement); // the outcome stays the same
    if (simpler) return write([{ settlement: simpler, attempt }]);
    if (settlement.to === 'dead') return attempt.recorded(undefined); // nothing simpler is left to write; the sweep ends the lease
    const text = `the end of the attempt could not be recorded: ${reasonOf(error, { bare: true })}`;
    await write([{ settlement: { id, claimToken, to: 'dead', error: text, ambiguous: true }, attempt }]);
  }

  function record(settlement: Settlement, attempt: Settling): void {
    queue.push({ settlement, attempt });
    if (writing === 0 || (writing === 1 && queue.length >= secondWriterAt)) void drain();
  }

  return {
    record,
    settle: (settlement) => new Promise((resolve) => record(settlement, { recorded: resolve })),
    pending: () => queue.length + writing,
  };
}

/** The same with its texts in ASCII: a database that is not in UTF8 cannot store others. Undefined if they are ASCII already. */
function inAscii(settlement: Settlement): Settlement | undefined {
  const text = <T extends string | null | undefined>(value: T): T =>
    (typeof value === 'string' ? value.replaceAll(/[^\t\n\x20-\x7e]/gu, '?') : value) as T;
  if (settlement.to === 'delivered') {
    const notes = (settlement.notes ?? []).map((note) => ({
      ...note,
      detail: text(note.detail),
      reference: text(note.reference),
    }));
    return isSame(notes, settlement.notes ?? []) ? undefined : { ...settlement, notes };
  }
  const simpler = {
    ...settlement,
    error: text(settlement.error),
    ...('stack' in settlement && { stack: text(settlement.stack) }),
  } as Settlement;
  return isSame(simpler, settlement) ? undefined : simpler;
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Any error but a refusal of the data: deadlocks, serialisation failures, tables missing during a migration, timeouts. */
function isPassing(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined ? isUnreachable(error) : !/^(22|23)/.test(state);
}
