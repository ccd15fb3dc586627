// What must be true of every state of the model, and of every step.

import { apply, type Traits } from './apply.ts';
import { hasKey, holds, isLive, maxAttempts, waits, type Row, type State } from './state.ts';
import { mostLosses, type Step } from './step.ts';

/** @returns what is broken; undefined: nothing */
export function brokenState(state: State, traits: Traits): string | undefined {
  for (const row of state.rows) {
    if ((row.status === 'sending') !== (row.claim !== null)) return 'B: a message is sending without a claim';
    if (row.attempts < 0 || row.attempts > maxAttempts) return 'E: too many attempts';
    if (waits(row) && row.attempts >= maxAttempts) return 'B: a message waits with no attempt left';
    if (row.losses > mostLosses) return 'E: too many workers died of a message';
  }
  return brokenOrder(state.rows) ?? brokenKey(state.rows) ?? unfinished(state, traits);
}

function brokenOrder(rows: readonly Row[]): string | undefined {
  for (const order of ['a', 'b']) {
    const its = rows.filter((row) => row.content.order === order && holds(row));
    if (its.length > 0 && its.filter(({ behind }) => !behind).length !== 1)
      return 'K: not exactly one message of an order key is available';
  }
  return undefined;
}

function brokenKey(rows: readonly Row[]): string | undefined {
  const its = rows.filter((row) => hasKey(row) && isLive(row));
  if (its.filter(({ status }) => status === 'sending').length > 1) return 'two messages of a key are sending';
  if (its.filter(({ older }) => older === null).length > 1) return 'two messages of a key may be claimed';
  if (its.filter(({ touched }) => !touched).length > 1) return 'two messages of a key wait unclaimed';
  return undefined;
}

/** B: from everywhere, a fleet that goes on brings each message to its end; only those behind a dead one wait for a person. */
function unfinished(from: State, traits: Traits): string | undefined {
  let state: State = { ...from, paused: false };
  const go = (step: Step): void => void (state = apply(state, step, traits).state);
  for (let round = 0; round < 12 && state.rows.some(isLive); round++) {
    go({ do: 'pass' });
    go({ do: 'sweep' });
    for (const suspects of [false, true])
      go({ do: 'claim', worker: 9, limit: 10, begins: undefined, suspects });
    for (const [row, { claim }] of state.rows.entries())
      if (claim?.worker === 9) go({ do: 'end', row, how: 'delivered', stale: false });
  }
  const isBlocked = (row: Row): boolean =>
    state.rows.some((one) => one.status === 'dead' && holds(one) && one.content.order === row.content.order);
  return state.rows.some((row) => isLive(row) && !isBlocked(row)) ? 'B: a message never ends' : undefined;
}

export function brokenStep(before: State, step: Step, after: State): string | undefined {
  if ('stale' in step && step.stale && before.rows.some((row, at) => row !== after.rows[at]))
    return 'C: a stale token changed something';
  for (const [at, row] of before.rows.entries()) {
    const now = after.rows[at];
    if (now === undefined) return 'B: a message is gone';
    if (row.status === 'delivered' && now.status !== 'delivered') return 'B: a delivered message came back';
    if (row.touched && now.payload !== row.payload) return 'the payload of a claimed message changed';
    if (row.status !== 'sending' && now.status === 'sending') {
      if (now.attempts !== row.attempts + 1) return 'E: a claim did not count';
      if (isOvertaking(after.rows, row)) return 'K: a message overtook another one';
    }
  }
  return undefined;
}

function isOvertaking(rows: readonly Row[], row: Row): boolean {
  const { order } = row.content;
  return rows.some(
    (one) =>
      order !== null &&
      one.content.order === order &&
      holds(one) &&
      !one.retried &&
      one.position < row.position,
  );
}
