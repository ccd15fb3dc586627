// The verdict: each promise held against what happened.

import { poisonAttempts, perTenant } from './app.ts';
import { mostOf, type Delivery, type Double } from './deliveries.ts';
import type { Entry } from './journal.ts';
import { mostAtOnce, staleWrites } from './overlap.ts';
import type { Struck } from './strikes.ts';
import { workOf, type Breach, type Part, type Waiting } from './subject.ts';

export type Facts = {
  readonly parts: readonly Part[];
  /** Ids of orders that are in the database. */
  readonly committed: readonly string[];
  /** Ids of orders whose transaction was rolled back on purpose. */
  readonly rolledBack: ReadonlySet<string>;
  readonly deliveries: ReadonlyMap<string, readonly Delivery[]>;
  readonly doubles: readonly Double[];
  readonly entries: readonly Entry[];
  readonly struck: readonly Struck[];
  /** Effects in the database by work, with the attempts that wrote them. */
  readonly effects: ReadonlyMap<string, readonly number[]>;
  /** Positions of each account in the order of their effects. */
  readonly sequence: ReadonlyMap<string, readonly number[]>;
  readonly waiting: readonly Waiting[];
  /** Works that are not done, and that the subject still has on record. */
  readonly held: ReadonlySet<string>;
  readonly slots: number;
};

export type Verdict = {
  readonly lost: readonly string[];
  /** Works that were not done when the run ended, and are not lost. */
  readonly late: readonly string[];
  readonly ghosts: readonly string[];
  readonly outOfOrder: number;
  readonly overLimit: number;
  readonly effectsTwice: readonly string[];
  readonly staleAccepted: readonly string[];
  readonly breaches: readonly Breach[];
};

export function judge(facts: Facts): Verdict {
  const { parts, committed, deliveries, effects, entries } = facts;
  const expected = committed.flatMap((id) => parts.map((part) => workOf({ id }, part)));
  const isDone = (work: string): boolean =>
    deliveries.has(work) && (work.endsWith(':email') || effects.has(work));
  const undone = expected.filter((work) => !isDone(work));
  const lost = undone.filter((work) => !facts.held.has(work));
  const late = undone.filter((work) => facts.held.has(work));
  const orders = new Set(committed);
  const isReal = (work: string): boolean => {
    const [order = ''] = work.split(':');
    return orders.has(order) && !facts.rolledBack.has(order);
  };
  const ghosts = [...deliveries.keys()].filter((work) => !isReal(work));
  const effectsTwice = [...effects].filter(([, attempts]) => attempts.length > 1).map(([work]) => work);
  const staleAccepted = staleWrites(entries, effects);
  const disordered = [...facts.sequence].flatMap(([account, seqs]) => disorder(account, seqs));
  const over = mostAtOnce(entries, perTenant);
  return {
    lost,
    late,
    ghosts,
    effectsTwice,
    staleAccepted,
    outOfOrder: disordered.length,
    overLimit: over.length,
    breaches: [
      ...breach('nothing that is committed is lost', lost, 'parts of committed orders were not done'),
      ...breach('nothing is sent without a commit', ghosts, 'parts of orders that are not committed'),
      ...duplicates(facts),
      ...breach('a write in ctx.db happens once', effectsTwice, 'parts are in the database twice'),
      ...breach('a stale claim settles nothing', staleAccepted, 'parts were settled after a newer claim'),
      ...breach('messages of an order key are in order', disordered, 'places are out of order'),
      ...breach('limits of a group hold', over, `starts were above ${perTenant} at a time`),
      ...tooOften(entries),
      ...restless(facts.waiting),
    ],
  };
}

function breach(promise: string, works: readonly string[], text: string): Breach[] {
  return works.length === 0 ? [] : [{ promise, text: `${works.length} ${text}`, works: works.slice(0, 10) }];
}

function restless(waiting: readonly Waiting[]): Breach[] {
  if (waiting.length === 0) return [];
  const text = waiting.map(({ what, count }) => `${count} ${what}`).join(', ');
  return [{ promise: 'the fleet comes to rest', text, works: [] }];
}

/** A second delivery needs a fault that may double, and a fault doubles at most twice the slots of the workers that it hit. */
function duplicates({ doubles, slots }: Facts): Breach[] {
  const unexplained = doubles.filter(({ by }) => by === undefined);
  const breaches: Breach[] = [];
  if (unexplained.length > 0)
    breaches.push({
      promise: 'nothing is delivered twice without a fault that explains it',
      text: `${unexplained.length} parts, ${new Set(unexplained.map(({ again }) => again.message)).size} messages`,
      works: unexplained.slice(0, 10).map(({ work }) => work),
    });
  for (const [by, its] of Map.groupBy(doubles, (one) => one.by)) {
    if (!by || its.length <= mostOf(by, slots)) continue;
    breaches.push({
      promise: 'duplicates are at most what was in flight',
      text: `${its.length} after "${by.text}", which may double ${mostOf(by, slots)} at most`,
      works: its.slice(0, 10).map(({ work }) => work),
    });
  }
  return breaches;
}

function disorder(account: string, seqs: readonly number[]): string[] {
  return seqs.flatMap((seq, i) =>
    i > 0 && seq <= seqs[i - 1]! ? [`${account}: ${seq} after ${seqs[i - 1]}`] : [],
  );
}

/** After a crash a message's last attempt is repeated once, alone (docs/states.md). */
function tooOften(entries: readonly Entry[]): Breach[] {
  const runs = Map.groupBy(
    entries.filter(({ work, what }) => work.startsWith('poison-') && what === 'began'),
    ({ work }) => work,
  );
  return [...runs]
    .filter(([, its]) => its.length > poisonAttempts + 1)
    .map(([work, its]) => ({
      promise: 'a message that kills its process ends dead',
      text: `${work} ran ${its.length} times with ${poisonAttempts} attempts`,
      works: [work],
    }));
}
