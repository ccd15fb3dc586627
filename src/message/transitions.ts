// The states of a message and every legal change between them, with the columns that each change sets.
// This table is their only definition. Every UPDATE of a state, the guards of the statements, the memory port, the 409 of the admin API
// and the drawing in docs/states.md use it. Tests compare them, and check that no other file writes a state.

/* oxlint-disable max-lines -- one table, and the statements that are built from it */

import type { Milliseconds, Random } from '../ports.ts';
import { holdDelay, retryDelay, type Backoff } from './backoff.ts';
import type { ClaimedMessage, Status } from './message.ts';
import { cleanError } from '../redaction/redact.ts';
import type { Outcome, Settlement } from './outcome.ts';
import { isDropped } from './seal.ts';

/** Column → SQL expression. `m` is the row before the change. */
export type Columns = Readonly<Record<string, string>>;

const unclaimed = {
  claim_token: 'null',
  claimed_by: 'null',
  claimed_at: 'null',
  claimed_until: 'null',
  prefetched: 'null',
};

/** A message whose death its order key skips no longer holds back the others of the key (sql/0010_order.sql). */
const died = { dead_at: 'now()', order_due: 'case when m.order_skips then null else m.order_due end' };

/** Puts the row back into the waiting index. */
const waits = (due: string): Columns => ({ relayed_at: 'null', available_at: due });

export const transitions = {
  claim: {
    from: ['pending', 'failed'],
    to: ['sending'],
    who: 'a worker; attempts + 1',
    /** @param given SQL expressions */
    set: (given: {
      readonly token: string;
      readonly worker: string;
      readonly until: string;
      readonly prefetched: string;
    }): Columns => ({
      status: `'sending'`,
      attempts: 'm.attempts + 1',
      claim_token: given.token,
      claimed_by: given.worker,
      claimed_at: 'now()',
      claimed_until: given.until,
      relayed_at: 'now()',
      prefetched: given.prefetched,
    }),
  },
  deliver: {
    from: ['sending'],
    to: ['delivered'],
    who: 'the holder of the claim token',
    set: (): Columns => ({
      ...unclaimed,
      status: `'delivered'`,
      delivered_at: 'now()',
      order_due: 'null',
      last_error: 'null',
    }),
  },
  fail: {
    from: ['sending'],
    to: ['failed'],
    who: 'the holder; due again after its backoff',
    set: (given: { readonly due: string; readonly error: string }): Columns => ({
      ...unclaimed,
      ...waits(given.due),
      status: `'failed'`,
      last_error: given.error,
    }),
  },
  kill: {
    from: ['sending'],
    to: ['dead'],
    who: 'the holder: a permanent failure, or the last attempt',
    set: (given: { readonly error: string; readonly cause: string }): Columns => ({
      ...unclaimed,
      ...died,
      status: `'dead'`,
      dead_cause: given.cause,
      last_error: given.error,
    }),
  },
  release: {
    from: ['sending'],
    to: ['pending', 'failed'],
    who: 'the holder; the attempt does not count',
    set: (given: { readonly due: string; readonly error: string }): Columns => ({
      ...unclaimed,
      ...waits(given.due),
      status: `case when m.attempts <= 1 then 'pending' else 'failed' end`,
      attempts: 'm.attempts - 1',
      last_error: given.error,
    }),
  },
  expire: {
    from: ['sending'],
    to: ['failed', 'dead'],
    who: 'the sweep, when the lease ran out (see below)',
    /** `last`: the condition under which the message becomes dead. */
    set: (given: {
      readonly last: string;
      readonly attempts: string;
      readonly expirations: string;
      readonly error: string;
    }): Columns => ({
      ...either(
        [given.last, { ...died, status: `'dead'`, dead_cause: `'expired'` }],
        ['else', { ...waits('now()'), status: `'failed'`, attempts: given.attempts }],
      ),
      ...unclaimed,
      expirations: given.expirations,
      last_error: given.error,
    }),
  },
  end: {
    from: ['sending'],
    to: ['pending', 'failed', 'dead', 'cancelled'],
    who: 'a person, of a running attempt; when it is retried, the attempt does not count',
    /** `then`: an expression with the status that it shall have: `dead`, `cancelled`, or any other to be retried. */
    set: (given: { readonly then: string; readonly error: string }): Columns => ({
      ...either(
        [`${given.then} = 'dead'`, { ...died, status: `'dead'` }],
        [`${given.then} = 'cancelled'`, { status: `'cancelled'`, cancelled_at: 'now()', order_due: 'null' }],
        [
          'else',
          {
            ...waits('now()'),
            status: `case when m.attempts <= 1 then 'pending' else 'failed' end`,
            attempts: 'm.attempts - 1',
          },
        ],
      ),
      ...unclaimed,
      last_error: given.error,
    }),
  },
  exhaust: {
    from: ['pending', 'failed'],
    to: ['dead'],
    who: 'the sweep, when no attempt is left (an edited row)',
    set: (given: { readonly error: string }): Columns => ({
      ...died,
      status: `'dead'`,
      dead_cause: `'exhausted'`,
      relayed_at: 'coalesce(m.relayed_at, now())', // leaves the waiting index
      last_error: given.error,
    }),
  },
  cancel: {
    from: ['pending', 'failed'],
    to: ['cancelled'],
    who: 'a person; the scheduler, of a tick that no worker may run; the sweep, of a message that a newer one replaces',
    set: (given?: { readonly error: string }): Columns => ({
      status: `'cancelled'`,
      cancelled_at: 'now()',
      available_at: 'coalesce(m.order_due, m.available_at)', // infinity while it waits behind another one of its order key
      order_due: 'null',
      ...(given && { last_error: given.error }),
    }),
  },
  dismiss: {
    from: ['dead'],
    to: ['cancelled'],
    who: 'a person, when it blocks its order key',
    set: (): Columns => ({
      status: `'cancelled'`,
      cancelled_at: 'now()',
      order_due: 'null',
      dead_at: 'null',
      dead_cause: 'null',
    }),
  },
  retry: {
    from: ['dead', 'cancelled'],
    to: ['pending'],
    who: 'a person; attempts start again, their history is kept',
    set: (): Columns => ({
      // With an order key it waits behind the others, and is the first that becomes available (sql/0010_order.sql).
      ...waits(`case when m.order_key is null then now() else 'infinity' end`),
      order_due: 'case when m.order_key is not null then now() end',
      // It was cancelled while it waited for an older message with its key: it has the key again, unless another one has.
      delivery_key: 'coalesce(m.delivery_key, m.shared_key)',
      shared_key: 'null',
      status: `'pending'`,
      attempts: '0',
      dead_at: 'null',
      dead_cause: 'null',
      cancelled_at: 'null',
    }),
  },
  reschedule: {
    from: ['pending', 'failed'],
    to: ['pending', 'failed'],
    who: 'a person; due at another time',
    /** Behind others of its order key it keeps infinity. A message that waits for an older one with its key stays out of the waiting index. */
    set: (given: { readonly due: string }): Columns => ({
      status: `case when m.status = 'failed' then 'failed' else 'pending' end`,
      relayed_at: 'case when m.shared_key is null then null else m.relayed_at end',
      available_at: `case when m.order_due is not null and m.available_at = 'infinity' then m.available_at else ${given.due} end`,
      order_due: `case when m.order_due is not null then ${given.due} end`,
    }),
  },
  discard: {
    from: ['pending', 'failed', 'sending'],
    to: ['dead'],
    who: 'the sweep, when the row breaks the rules (an edited row)',
    /** Every column that the engine computes with is made valid. Kind, name and queue stay as they are, for inspection. */
    set: (given: { readonly error: string }): Columns => ({
      ...unclaimed,
      ...died,
      status: `'dead'`,
      dead_cause: `'permanent'`,
      delivered_at: 'null',
      cancelled_at: 'null',
      relayed_at: finite('relayed_at'),
      available_at: finite('available_at'),
      created_at: finite('created_at'),
      order_due: `case when m.order_skips or m.order_due is null then null else ${finite('order_due')} end`,
      max_attempts: 'least(greatest(m.max_attempts, 1), 1000)',
      attempts: 'least(greatest(m.attempts, 0), greatest(m.max_attempts, 1), 1000)',
      expirations: 'least(greatest(m.expirations, 0), 1000000)',
      revision: 'case when m.revision between 0 and 1000000000 then m.revision + 1 else 0 end',
      last_error: given.error,
    }),
  },
} as const satisfies Record<string, Transition>;

type Transition = {
  readonly from: readonly Status[];
  readonly to: readonly Status[];
  readonly who: string;
  readonly set: (given: never) => Columns;
};

function finite(column: string): string {
  return `case when isfinite(m.${column}) then m.${column} else now() end`;
}

export type Change = keyof typeof transitions;

export function isAllowed(change: Change, from: Status): boolean {
  return (transitions[change].from as readonly Status[]).includes(from);
}

/** `status = any ('{pending,failed}')`: the guard of a change's statement. */
export function guard(change: Change, column = 'status'): string {
  return `${column} = any ('{${transitions[change].from.join(',')}}')`;
}

/** The columns of the first change whose condition holds; the last condition is `else`. Other columns keep their values. */
export function either(...changes: readonly (readonly [when: string, set: Columns])[]): Columns {
  const names = new Set(changes.flatMap(([, set]) => Object.keys(set)));
  return Object.fromEntries(
    [...names].map((name) => {
      const values = changes.map(([, set]) => set[name] ?? `m.${name}`);
      if (new Set(values).size === 1) return [name, values[0]!];
      const cases = changes.map(([when], i) =>
        when === 'else' ? `else ${values[i]}` : `when ${when} then ${values[i]}`,
      );
      return [name, `case ${cases.join(' ')} end`];
    }),
  );
}

/**
 * `update … set …` of messages `m`, without its `where`. The table's trigger checks only updates that leave `revision` as it was, so it
 * skips those of the engine (sql/0001_messages.sql).
 */
export function updateMessages(set: Columns): string {
  const all = { revision: 'm.revision + 1', ...set };
  return `update waybill.outbox_messages m set ${Object.entries(all)
    .map(([column, value]) => `${column} = ${value}`)
    .join(', ')}`;
}

/**
 * The same for a change that ends an attempt or the message: two CTEs, `ended as (…), audited as (…)`. The audit counters include a message
 * from its first end on; until then its row is counted (src/operate/verify.ts).
 * @param where the statement from its `from` or `where` on
 * @param returning columns of `ended` beside `id`, `kind` and `queue`
 * @param outcome expression over the rows of `ended`
 */
export function endMessages(set: Columns, where: string, outcome: string, returning = ''): string {
  return `ended as (
    ${updateMessages({ ...set, ends: 'm.ends + 1' })}
     ${where}
    returning m.id, m.kind, m.queue, m.ends${returning && `, ${returning}`}),
  audited as (
    insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
    select kind, queue, ${outcome}, count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)`;
}

/** Delay after an operator failure, where no queue can be parked for it. */
const operatorDelay = 30_000;

/**
 * Outcome and retry policy → settlement. A total function; the end of every delivery passes here.
 * @param exactly the delay of a retry, when the policy does not decide it
 */
export function settle(
  message: Pick<ClaimedMessage, 'id' | 'claimToken' | 'attempt' | 'maxAttempts'> & {
    readonly payload?: unknown;
  },
  outcome: Outcome,
  backoff: Backoff,
  random: Random,
  exactly?: Milliseconds,
): Settlement {
  const { id, claimToken } = message;
  switch (outcome.type) {
    case 'delivered': {
      const end = {
        id,
        claimToken,
        to: 'delivered',
        then: outcome.then,
        notes: outcome.notes ?? [],
      } as const;
      return isDropped(message.payload) ? { ...end, drops: true } : end;
    }
    case 'released':
      return { id, claimToken, to: 'released', error: outcome.reason, delay: outcome.delay };
    case 'failure': {
      const { type, stack, retryAfter, ambiguous = false, recipient = false } = outcome.failure;
      const error = cleanError(outcome.failure.message);
      const dead = { id, claimToken, to: 'dead', error, stack, ambiguous } as const;
      switch (type) {
        case 'operator':
          return { id, claimToken, to: 'released', error, delay: retryAfter ?? operatorDelay };
        case 'permanent':
          return recipient ? { ...dead, cause: 'recipient' } : dead;
        case 'transient': {
          if (outcome.failure.holdsQueue)
            return { id, claimToken, to: 'released', error, delay: holdDelay(retryAfter) };
          if (message.attempt >= message.maxAttempts) return { ...dead, cause: 'exhausted' };
          const delay = exactly ?? retryDelay(backoff, message.attempt, random, retryAfter);
          return { id, claimToken, to: 'failed', error, stack, delay, ambiguous };
        }
      }
    }
  }
}
