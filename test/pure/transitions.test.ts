// The table of transitions: the columns that each change sets, the statements that are built from it, and how an attempt's end is written. All of it
// is pure; the last describe reads the sources as texts.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxRetryAfter, retryDelay } from '../../src/message/backoff.ts';
import { statuses } from '../../src/message/message.ts';
import type { Outcome } from '../../src/message/outcome.ts';
import {
  either,
  endMessages,
  guard,
  isAllowed,
  settle,
  transitions,
  updateMessages,
  type Change,
  type Columns,
} from '../../src/message/transitions.ts';
import { cleanError } from '../../src/redaction/redact.ts';

const backoff = { initial: 1_000, factor: 2, max: 60_000 };
const message = { id: 'm', claimToken: 't', attempt: 2, maxAttempts: 5 };
const failure = (type: 'transient' | 'permanent' | 'operator', rest: object = {}): Outcome => ({
  type: 'failure',
  failure: { type, message: 'why', ...rest },
});

describe('settle', () => {
  it.each<[string, Outcome, object]>([
    ['delivered', { type: 'delivered', then: [] }, { to: 'delivered', then: [], notes: [] }],
    [
      'delivered with notes',
      { type: 'delivered', then: [], notes: [{ type: 'accepted' }] },
      { to: 'delivered', then: [], notes: [{ type: 'accepted' }] },
    ],
    ['released', { type: 'released', reason: null, delay: 0 }, { to: 'released', error: null, delay: 0 }],
    ['transient', failure('transient'), { to: 'failed', error: 'why', delay: 1_000, ambiguous: false }],
    [
      'ambiguous',
      failure('transient', { ambiguous: true }),
      { to: 'failed', error: 'why', delay: 1_000, ambiguous: true },
    ],
    [
      'Retry-After',
      failure('transient', { retryAfter: 7_000 }),
      { to: 'failed', error: 'why', delay: 8_000, ambiguous: false },
    ],
    ['permanent', failure('permanent'), { to: 'dead', error: 'why', ambiguous: false }],
    [
      'everybody is to wait',
      failure('transient', { holdsQueue: true, retryAfter: 7_000 }),
      { to: 'released', error: 'why', delay: 7_000 },
    ],
    [
      'everybody is to wait, nobody knows how long',
      failure('transient', { holdsQueue: true }),
      { to: 'released', error: 'why', delay: 5_000 },
    ],
    [
      'everybody is to wait for a year',
      failure('transient', { holdsQueue: true, retryAfter: 3e10 }),
      { to: 'released', error: 'why', delay: maxRetryAfter },
    ],
    ['operator', failure('operator'), { to: 'released', error: 'why', delay: 30_000 }],
  ])('%s', (_, outcome, expected) => {
    expect(settle(message, outcome, backoff, () => 0.5)).toEqual({ id: 'm', claimToken: 't', ...expected });
  });

  it('a transient failure of the last attempt is the end', () => {
    const last = { ...message, attempt: 5 };
    expect(settle(last, failure('transient'), backoff, () => 0.5)).toMatchObject({
      to: 'dead',
      error: 'why',
    });
  });
});

describe('the end of a delivery', () => {
  const end = (outcome: Outcome, over: object = {}, exactly?: number) =>
    settle({ ...message, ...over }, outcome, backoff, () => 0.5, exactly);

  it('drops the payload of a delivered message that shall not be kept', () => {
    const delivered: Outcome = { type: 'delivered', then: [] };
    expect(end(delivered, { payload: { $sealed: { keep: false } } })).toHaveProperty('drops', true);
    for (const payload of [{ $sealed: {} }, { a: 1 }, undefined])
      expect(end(delivered, { payload })).not.toHaveProperty('drops');
  });

  it('names the cause of a death, and keeps its stack', () => {
    const stack = 'Error: why\n    at here';
    const dead = { id: 'm', claimToken: 't', to: 'dead', error: 'why', stack, ambiguous: true };
    const more = { stack, ambiguous: true };
    expect(end(failure('permanent', more))).toEqual(dead);
    expect(end(failure('permanent', { ...more, recipient: true }))).toEqual({ ...dead, cause: 'recipient' });
    for (const attempt of [5, 6])
      expect(end(failure('transient', more), { attempt })).toEqual({ ...dead, cause: 'exhausted' });
    expect(end(failure('transient', more), { attempt: 4 })).toMatchObject({ to: 'failed', stack });
  });

  it('is a retry after exactly the delay that the handler asked for', () => {
    expect(end(failure('transient', { retryAfter: 7_000 }), {}, 5)).toMatchObject({ to: 'failed', delay: 5 });
  });

  it('of an operator failure is a release for as long as the provider says', () => {
    expect(end(failure('operator', { retryAfter: 9_000 }))).toMatchObject({ to: 'released', delay: 9_000 });
  });
});

describe('retryDelay', () => {
  it('stays between what was asked for and the ceiling above it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.integer(),
        (attempt, r, asked) => {
          const delay = retryDelay(backoff, attempt, () => r, asked);
          const floor = Math.min(Math.max(asked, 0), maxRetryAfter);
          expect(delay).toBeGreaterThanOrEqual(floor);
          expect(delay).toBeLessThanOrEqual(floor + backoff.max);
        },
      ),
    );
  });

  it('the ceiling grows by the factor up to the cap', () => {
    const ceilings = [1, 2, 3, 7, 100].map((attempt) => retryDelay(backoff, attempt, () => 1));
    expect(ceilings).toEqual([1_000, 2_000, 4_000, 60_000, 60_000]);
  });
});

describe('cleanError', () => {
  it('can always be stored: well-formed, without U+0000, at most 4,000 characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 5_000 }), (text) => {
        const clean = cleanError(`\ud800${text}\0`);
        expect(clean.isWellFormed() && !clean.includes('\0') && clean.length <= 4_000).toBe(true);
      }),
    );
  });
});

/** What a change sets, with marks where its statement gives an expression. */
const columnsOf = (change: Change): Columns =>
  (transitions[change].set as (given: object) => Columns)(
    new Proxy({}, { get: (_, name) => `given.${String(name)}` }),
  );
const changes = Object.keys(transitions) as Change[];
const claimColumns = ['claim_token', 'claimed_by', 'claimed_at', 'claimed_until', 'prefetched'];

describe('the columns of a change', () => {
  it.each(changes)('%s: name each status that it leads to, and no other', (change) => {
    const { status } = columnsOf(change);
    const named = [...status!.matchAll(/'(\w+)'/g)].map(([, name]) => name);
    expect(new Set(named)).toEqual(new Set(transitions[change].to));
    for (const name of named) expect(statuses).toContain(name);
  });

  it.each(changes)('C: %s: ends the claim, if there was one', (change) => {
    if (!(transitions[change].from as readonly string[]).includes('sending')) return;
    expect(columnsOf(change)).toMatchObject(Object.fromEntries(claimColumns.map((name) => [name, 'null'])));
  });

  it.each(changes)(
    'B: %s: puts what waits afterwards into the waiting index, due at a time, and nothing else',
    (change) => {
      const { relayed_at = '', available_at = '' } = columnsOf(change);
      const to: readonly string[] = transitions[change].to;
      const waits = to.includes('pending') || to.includes('failed');
      expect([/\bnull\b/.test(relayed_at), /^null$|else null/.test(available_at)]).toEqual([waits, false]);
      if (waits) expect(available_at).not.toBe('');
    },
  );

  it.each([
    ['deliver', 'delivered_at'],
    ['kill', 'dead_at'],
    ['expire', 'dead_at'],
    ['exhaust', 'dead_at'],
    ['discard', 'dead_at'],
    ['cancel', 'cancelled_at'],
  ] as const)('%s: sets %s', (change, column) => {
    expect(columnsOf(change)[column]).toContain('now()');
    if (column === 'dead_at') expect(columnsOf(change)['dead_cause']).toMatch(/'\w+'|given/);
  });

  it('discard: makes every time finite, which Postgres can otherwise not compute with', () => {
    const columns = columnsOf('discard');
    for (const name of ['relayed_at', 'available_at', 'created_at'])
      expect(columns[name]).toBe(`case when isfinite(m.${name}) then m.${name} else now() end`);
    expect(columns['order_due']).toContain('isfinite(m.order_due)');
  });

  it('E: a claim counts an attempt, and only a release, an expired lease, an edited row and a person change the count otherwise', () => {
    expect(columnsOf('claim')).toMatchObject({ attempts: 'm.attempts + 1', claim_token: 'given.token' });
    expect(columnsOf('release')).toMatchObject({ attempts: 'm.attempts - 1' });
    expect(changes.filter((change) => 'attempts' in columnsOf(change)).toSorted()).toEqual(
      ['claim', 'discard', 'end', 'expire', 'release', 'retry'],
    ); // prettier-ignore
  });
});

describe('the statement of a change', () => {
  it('takes each column from the first change whose condition holds, and leaves what that one does not set', () => {
    const set = either(
      ['a', { status: `'dead'`, dead_at: 'now()', both: '1' }],
      ['b', { status: `'failed'`, both: '1' }],
      ['else', { status: `'pending'`, both: '1' }],
    );
    expect(set).toEqual({
      status: `case when a then 'dead' when b then 'failed' else 'pending' end`,
      dead_at: 'case when a then now() when b then m.dead_at else m.dead_at end',
      both: '1',
    });
  });

  it('sets every column of every change, whichever comes first', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd');
    const change = fc.dictionary(name, fc.constantFrom('1', '2', 'm.a'));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (its) => {
        const last = its.length - 1;
        const set = either(...its.map((one, i) => [i === last ? 'else' : `c${i}`, one] as const));
        expect(Object.keys(set).toSorted()).toEqual([...new Set(its.flatMap(Object.keys))].toSorted());
        for (const [column, value] of Object.entries(set))
          for (const [i, one] of its.entries()) {
            const expected = one[column] ?? `m.${column}`;
            if (!value.startsWith('case')) expect(value).toBe(expected);
            else
              expect(value).toContain(i === last ? `else ${expected} end` : `when c${i} then ${expected} `);
          }
      }),
    );
  });

  it('is guarded by the states that the change leads from', () => {
    expect(guard('discard')).toBe(`status = any ('{pending,failed,sending}')`);
    expect(guard('retry', 'm.status')).toBe(`m.status = any ('{dead,cancelled}')`);
    expect([isAllowed('retry', 'dead'), isAllowed('retry', 'pending')]).toEqual([true, false]);
  });

  it('that ends an attempt counts it, and returns what the caller wants beside its own columns', () => {
    const text = (returning?: string): string =>
      endMessages(transitions.deliver.set(), 'where true', `'delivered'`, returning).replaceAll(/\s+/g, ' ');
    expect(text()).toMatch(/^ended as \( update .*, status = 'delivered', .*, ends = m.ends \+ 1 where true/);
    expect(text()).toContain('returning m.id, m.kind, m.queue, m.ends), audited as (');
    expect(text('m.attempts')).toContain(
      'returning m.id, m.kind, m.queue, m.ends, m.attempts), audited as (',
    );
    expect(text()).toContain(`select kind, queue, 'delivered', count(*), count(*) filter (where ends = 1)`);
  });

  it('that cancels a message keeps its last error, unless it has another', () => {
    expect(transitions.cancel.set()).not.toHaveProperty('last_error');
    expect(transitions.cancel.set({ error: '$1' })).toHaveProperty('last_error', '$1');
  });

  it('tells the trigger that the engine vouches for the row, once', () => {
    const revisions = (set: Columns): string[] => updateMessages(set).match(/revision = [^,]*/g) ?? [];
    for (const change of changes) expect(revisions(columnsOf(change))).toHaveLength(1);
    expect(updateMessages(transitions.cancel.set())).toBe(
      `update waybill.outbox_messages m set revision = m.revision + 1, status = 'cancelled', cancelled_at = now(), available_at = coalesce(m.order_due, m.available_at), order_due = null`,
    );
  });
});

describe('the sources', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const sources = ['src', 'workers']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)))
    .filter((file) => file.endsWith('.ts') && file !== 'src/message/transitions.ts'); // prettier-ignore
  /** From the word `update` to the end of its text or the next statement in it. */
  const updates = (file: string): string[] =>
    readFileSync(join(root, file), 'utf8').match(
      /\bupdate\s+(?:only\s+)?(?:waybill\.)?"?outbox_messages\b[^`;]*/gi,
    ) ?? [];

  it('contain no update of a message that sets its status, but in src/message/transitions.ts', () => {
    const setStatus = (text: string): boolean => /\bset\b(?:(?!\bwhere\b)[\s\S])*?\bstatus\s*=/i.test(text);
    expect(setStatus(`update waybill.outbox_messages m set a = 1, status = 'dead' where true`)).toBe(true);
    expect(setStatus(`update waybill.outbox_messages m set a = 1 where status = 'dead'`)).toBe(false);
    expect(sources.length).toBeGreaterThan(200);
    expect(sources.filter((file) => updates(file).some(setStatus))).toEqual([]);
  });

  it('contain no update of a message at all, but in src/message/transitions.ts', () => {
    expect(sources.filter((file) => updates(file).length > 0)).toEqual([]);
  });
});
