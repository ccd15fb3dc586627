// What each step does to the model, and what it answers.

import {
  hasKey,
  holds,
  isLive,
  maxAttempts,
  maxWait,
  unit,
  waits,
  type Content,
  type Row,
  type State,
} from './state.ts';
import type { Answer, Ending, Step } from './step.ts';

export type Applied = { readonly state: State; readonly answer: Answer };

/** What the model knows of the outbox with which it is compared. */
export type Traits = {
  /** A claim also ends the older messages of a delivery key, as the sweep does. */
  readonly claimPassesKeys: boolean;
};

type Rows = readonly Row[];

/** A step takes a millisecond; `pass` a unit more. */
export function apply(before: State, step: Step, traits: Traits): Applied {
  const now = before.now + 1 + (step.do === 'pass' ? unit : 0);
  const state = { ...before, now };
  switch (step.do) {
    case 'record':
      return record(state, step.content);
    case 'claim':
      return claim(traits.claimPassesKeys ? { ...state, rows: passKeys(state.rows) } : state, step);
    case 'end':
      return step.stale ? { state, answer: [] } : end(state, step.row, step.how);
    case 'extend':
      return step.stale ? { state, answer: [] } : extend(state, step.row);
    case 'pass':
      return { state, answer: [] };
    case 'sweep':
      return sweep(state);
    case 'pause':
    case 'resume':
      return { state: { ...state, paused: step.do === 'pause' }, answer: [] };
    case 'cancel':
    case 'retry':
    case 'dismiss':
    case 'unblock':
      return { cancel, retry, dismiss, unblock }[step.do](state, step.row);
  }
}

function changed(rows: Rows, at: number, change: Partial<Row>): Rows {
  return rows.with(at, { ...rows[at]!, ...change });
}

/** Makes the first message of an order key available, unless another one of it is. */
function advance(rows: Rows, order: Content['order']): Rows {
  if (order === null) return rows;
  const its = rows.filter((row) => row.content.order === order && holds(row));
  if (its.some(({ behind }) => !behind)) return rows;
  const first = its.toSorted((a, b) => a.position - b.position)[0];
  return first ? changed(rows, rows.indexOf(first), { behind: false }) : rows;
}

const lastPlace = (rows: Rows): number => 1 + Math.max(0, ...rows.map(({ position }) => position));

function record({ now, rows, recordings, paused }: State, content: Content): Applied {
  const state = (changedRows: Rows): State => ({
    now,
    rows: changedRows,
    recordings: recordings + 1,
    paused,
  });
  const at = content.key === 'none' ? -1 : rows.findLastIndex(hasKey);
  const existing = rows[at];
  if (existing && content.key === 'keep') return { state: state(rows), answer: [[at, 'kept']] };
  if (existing && existing.status === 'pending' && !existing.touched)
    return {
      state: state(replaced(rows, at, { content, payload: recordings, now })),
      answer: [[at, 'replaced']],
    };
  const row: Row = {
    content,
    payload: recordings,
    status: 'pending',
    attempts: 0,
    expirations: 0,
    due: content.key === 'debounce' ? now + unit : now,
    created: now,
    behind: content.order !== null,
    position: content.order === null ? 0 : lastPlace(rows),
    claim: null,
    touched: false,
    older: existing && isLive(existing) ? at : null,
    lostBy: [],
    passed: false,
    stale: false,
    losses: 0,
    retried: false,
  };
  const others = existing?.status === 'delivered' ? changed(rows, at, { passed: true }) : rows;
  return { state: state(advance([...others, row], content.order)), answer: [[rows.length, 'recorded']] };
}

type Newer = { readonly content: Content; readonly payload: number; readonly now: number };

function replaced(rows: Rows, at: number, { content, payload, now }: Newer): Rows {
  const { due: own, created, content: was } = rows[at]!;
  const latest = created + maxWait;
  const debounced = latest <= now ? Math.min(own, now) : Math.min(now + unit, latest);
  const change = { content, payload, due: content.key === 'debounce' ? debounced : own };
  if (was.order === content.order) return changed(rows, at, change);
  const moved = {
    behind: content.order !== null,
    position: content.order === null ? 0 : lastPlace(rows),
  };
  return advance(advance(changed(rows, at, { ...change, ...moved }), content.order), was.order);
}

/** Ends the older message of a key, which a newer one waits for. */
function passKeys(rows: Rows): Rows {
  let after = rows;
  for (const [at, row] of rows.entries()) {
    if (row.older === null || row.status === 'sending') continue;
    const older = after[row.older]!;
    if (waits(row) && older.status === 'sending') continue;
    if (waits(row) && waits(older))
      after = advance(changed(after, row.older, { status: 'cancelled', touched: true }), older.content.order);
    if (waits(row) && older.status === 'delivered') after = changed(after, row.older, { passed: true });
    after = changed(after, at, { older: null });
  }
  return after;
}

function claim(state: State, step: Extract<Step, { do: 'claim' }>): Applied {
  const { now, paused } = state;
  const { worker, limit, begins, suspects } = step;
  const due = state.rows
    .filter((row) => waits(row) && row.due <= now && !row.behind && row.older === null && !paused)
    .filter((row) => row.attempts < maxAttempts && row.expirations > 1 === suspects)
    .toSorted((a, b) => a.due - b.due)
    .slice(0, limit)
    .filter((row, place) => begins === undefined || place < begins || row.attempts + 1 < maxAttempts);
  let { rows } = state;
  const answer: [number, string][] = [];
  for (const [place, row] of due.entries()) {
    const at = rows.indexOf(row);
    const prefetched = suspects ? false : begins === undefined ? null : place >= begins;
    const attempts = row.attempts + 1;
    answer.push([at, `attempt ${attempts}${prefetched ? ', prefetched' : ''}, payload ${row.payload}`]);
    rows = changed(rows, at, {
      status: 'sending',
      attempts,
      touched: true,
      claim: { worker, until: now + unit, prefetched },
    });
  }
  return { state: { ...state, rows }, answer };
}

function end(state: State, at: number, how: Ending): Applied {
  const { now, rows } = state;
  const row = rows[at]!;
  const attempts = how === 'released' ? row.attempts - 1 : row.attempts;
  const retried = attempts === 0 ? ('pending' as const) : ('failed' as const);
  const status =
    how === 'released' ? retried : how === 'failed' && attempts >= maxAttempts ? ('dead' as const) : how;
  const due = status === 'pending' || status === 'failed' ? now + (how === 'failed' ? unit : 0) : row.due;
  const after = changed(rows, at, { status, attempts, due, claim: null, stale: true });
  return { state: { ...state, rows: advance(after, row.content.order) }, answer: [[at, status]] };
}

function extend(state: State, at: number): Applied {
  const claim = state.rows[at]!.claim!;
  const renewed = {
    ...claim,
    until: state.now + unit,
    prefetched: claim.prefetched === null ? null : false,
  };
  return {
    state: { ...state, rows: changed(state.rows, at, { claim: renewed }) },
    answer: [[at, 'renewed']],
  };
}

function sweep(state: State): Applied {
  const { now, rows: before } = state;
  let rows = before;
  const answer: [number, string][] = [];
  for (const [at, row] of before.entries()) {
    if (row.claim === null || row.claim.until >= now) continue;
    const { worker, prefetched } = row.claim;
    const unbegun = prefetched === true;
    const hadCompany = before.some(
      (other) =>
        other !== row &&
        (other.lostBy.includes(worker) ||
          (other.claim?.worker === worker && other.claim.prefetched !== true)),
    );
    const isLast =
      !unbegun && row.attempts >= maxAttempts && (prefetched === null || row.expirations > 0 || !hadCompany);
    const attempts = unbegun
      ? row.attempts - 1
      : isLast
        ? row.attempts
        : Math.min(row.attempts, maxAttempts - 1);
    const isSuspect = attempts + 1 >= maxAttempts;
    const status = isLast ? 'dead' : 'failed';
    answer.push([at, status]);
    rows = changed(rows, at, {
      status,
      attempts,
      claim: null,
      stale: true,
      due: isLast ? row.due : now,
      expirations: isSuspect ? Math.max(2, row.expirations + 1) : row.expirations + 1,
      lostBy:
        unbegun || row.lostBy.includes(worker)
          ? row.lostBy
          : [...row.lostBy, worker].toSorted((a, b) => a - b),
      losses: unbegun ? row.losses : row.losses + 1,
    });
    rows = advance(rows, row.content.order);
  }
  return { state: { ...state, rows: passKeys(rows) }, answer };
}

function cancel(state: State, at: number): Applied {
  const row = state.rows[at]!;
  if (!waits(row)) return { state, answer: [] };
  const rows = changed(state.rows, at, { status: 'cancelled', touched: true });
  return { state: { ...state, rows: advance(rows, row.content.order) }, answer: [[at, 'cancel']] };
}

function retry(state: State, at: number): Applied {
  const { rows, now } = state;
  const row = rows[at]!;
  if (row.status !== 'dead' && row.status !== 'cancelled') return { state, answer: [] };
  if (row.content.key !== 'none' && rows.some(hasKey)) return { state, answer: [] };
  const after = changed(rows, at, {
    status: 'pending',
    attempts: 0,
    due: now,
    behind: row.content.order !== null,
    older: null,
    losses: 0,
    retried: true,
  });
  return { state: { ...state, rows: advance(after, row.content.order) }, answer: [[at, 'retry']] };
}

/** Cancels a dead message that blocks its order key. */
function dismiss(state: State, at: number): Applied {
  const row = state.rows[at]!;
  if (row.status !== 'dead' || !holds(row)) return { state, answer: [] };
  const rows = changed(state.rows, at, { status: 'cancelled' });
  return { state: { ...state, rows: advance(rows, row.content.order) }, answer: [[at, 'dismiss']] };
}

/** Lets the messages behind a dead one go on; it stays dead. */
function unblock(state: State, at: number): Applied {
  const row = state.rows[at]!;
  if (row.status !== 'dead' || !holds(row)) return { state, answer: [] };
  const rows = changed(state.rows, at, { content: { ...row.content, skips: true } });
  return { state: { ...state, rows: advance(rows, row.content.order) }, answer: [[at, 'unblock']] };
}
