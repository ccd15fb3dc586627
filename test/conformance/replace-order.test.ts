// Messages of a few keys under any sequence of recordings, claims, ends and time, in memory and on Postgres. Doubled: time passes by a clock, or
// by moving the times of all rows into the past.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClaimedMessage, NewMessage } from '../../src/message/message.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

/** An outbox whose time passes as the test wants. */
type Timed = { readonly port: OutboxPort; pass(ms: number): Promise<void>; check(): Promise<void> };

let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.end());

const makers: Readonly<Record<string, () => Promise<Timed>>> = {
  async memory() {
    let now = Date.now();
    return {
      port: createMemoryOutbox(() => now),
      pass: async (ms) => void (now += ms),
      check: async () => undefined,
    };
  },
  async Postgres() {
    for (const table of ['outbox_messages', 'outbox_audit', 'outbox_keys'])
      await database.db.executeSql(`truncate waybill.${table} cascade`);
    return {
      port: createPostgresOutbox(database.db),
      async pass(ms) {
        const sql = `update waybill.outbox_messages set revision = revision + 1,
          available_at = available_at - $1 * interval '1 millisecond', created_at = created_at - $1 * interval '1 millisecond'`;
        await database.db.executeSql(sql, [ms]);
      },
      async check() {
        expect((await verifyOutbox(database.db)).findings).toEqual([]);
      },
    };
  },
};

type Step =
  | {
      readonly do: 'record';
      readonly key: number;
      readonly how: 'keep' | 'replace' | 'debounce';
      readonly twice: boolean;
    }
  | { readonly do: 'claim'; readonly sweep: boolean }
  | { readonly do: 'end'; readonly how: 'delivered' | 'failed' | 'dead' | 'released'; readonly which: number }
  | { readonly do: 'pass'; readonly seconds: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('record' as const),
      key: fc.integer({ min: 0, max: 1 }),
      how: fc.constantFrom('keep' as const, 'replace' as const, 'debounce' as const, 'debounce' as const),
      twice: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('claim' as const), sweep: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      how: fc.constantFrom('delivered' as const, 'failed' as const, 'dead' as const, 'released' as const),
      which: fc.nat({ max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pass' as const), seconds: fc.constantFrom(10, 40, 200) }),
  },
);

const debounceMs = 30_000;
const maxWaitMs = 60_000;
/** Real time passes too, a little. */
const slack = 5_000;

/** What is expected of one key. */
type Expected = {
  /** The last payload that was recorded. */
  newest: number;
  /** Its message waits, and no claim has taken it. */
  waits: boolean;
  due: number;
  first: number;
  /** The payload of the last claim. */
  claimed: number;
  delivered: number;
  died: number;
};

class Model {
  readonly keys = new Map<string, Expected>();
  readonly #timed: Timed;
  readonly #payloads = new Map<string, number>();
  inFlight: ClaimedMessage[] = [];
  #now = 0;
  #count = 0;

  constructor(timed: Timed) {
    this.#timed = timed;
  }

  async record({ key, how, twice }: Extract<Step, { do: 'record' }>): Promise<void> {
    const deliveryKey = `k${key}`;
    const of = (): NewMessage => {
      const options =
        how === 'debounce' ? { debounce: debounceMs, maxWait: maxWaitMs } : { onDuplicate: how };
      const payload = (this.#count += 1);
      return { kind: 'job', name: 'n', queue: 'q', payload, maxAttempts: 90, deliveryKey, ...options };
    };
    const messages = twice ? [of(), of()] : [of()];
    const answers = await this.#timed.port.enqueue(messages);
    const last = messages.at(-1)!.payload as number;
    const its = this.keys.get(deliveryKey);
    for (const { duplicate, replaced } of answers)
      expect([duplicate, replaced]).toEqual(
        how === 'keep' && duplicate ? [true, undefined] : [duplicate, duplicate || undefined],
      );
    if (how === 'keep') {
      if (!answers[0]!.duplicate) this.#begin(deliveryKey, messages[0]!.payload as number, this.#now);
      return;
    }
    const due = how === 'debounce' ? this.#now + debounceMs : this.#now;
    if (!its?.waits) return this.#begin(deliveryKey, last, due);
    expect(answers.every(({ replaced }) => replaced)).toBe(true);
    its.newest = last;
    if (how !== 'debounce') return;
    const latest = its.first + maxWaitMs;
    its.due = latest <= this.#now ? Math.min(its.due, this.#now) : Math.min(due, latest);
  }

  #begin(key: string, newest: number, due: number): void {
    const before = this.keys.get(key) ?? { claimed: 0, delivered: 0, died: 0 };
    this.keys.set(key, { ...before, newest, due, waits: true, first: this.#now });
  }

  async claim({ sweep }: { readonly sweep: boolean }): Promise<number> {
    const { port } = this.#timed;
    if (sweep) await port.expire(100);
    const expected = sweep ? [...this.keys].filter(([key, its]) => this.#mustCome(key, its)) : [];
    const got = await port.claimBatch({ limit: 10, leaseMs: 3_600_000, workerId: 'w' });
    for (const message of got) this.#claimed(message);
    for (const [key, its] of expected) expect([key, its.waits]).toEqual([key, false]);
    return got.length;
  }

  /** It is due, and no older message of its key is being sent. */
  #mustCome(key: string, { waits, due }: Expected): boolean {
    return waits && due + slack <= this.#now && !this.inFlight.some(({ deliveryKey }) => deliveryKey === key);
  }

  #claimed(message: ClaimedMessage): void {
    const { id, deliveryKey, payload } = message;
    const its = this.keys.get(deliveryKey!)!;
    const n = payload as number;
    expect(this.inFlight.map((one) => one.deliveryKey)).not.toContain(deliveryKey); // one at a time
    expect(n).toBeGreaterThanOrEqual(its.claimed); // never an older payload after a newer one
    if (this.#payloads.has(id))
      expect(n).toBe(this.#payloads.get(id)); // what was tried keeps its payload
    else {
      expect([n, its.waits]).toEqual([its.newest, true]);
      expect(this.#now).toBeGreaterThanOrEqual(its.due - slack);
      its.waits = false;
    }
    this.#payloads.set(id, n);
    its.claimed = n;
    this.inFlight.push(message);
  }

  async end({ how, which }: Pick<Extract<Step, { do: 'end' }>, 'how' | 'which'>): Promise<void> {
    const [message] = this.inFlight.splice(which % Math.max(1, this.inFlight.length), 1);
    if (!message) return;
    const { id, claimToken, deliveryKey, payload } = message;
    const { port } = this.#timed;
    const its = this.keys.get(deliveryKey!)!;
    if (how === 'delivered') its.delivered = payload as number;
    if (how === 'dead') its.died = payload as number;
    const base = { id, claimToken };
    if (how === 'delivered') expect(await port.markDelivered(id, claimToken)).toBe(true);
    else if (how === 'released')
      expect(await port.settle([{ ...base, to: 'released', error: null, delay: 0 }])).toHaveLength(1);
    else expect(await port.markFailed(id, claimToken, 'no', { permanent: how === 'dead' })).toBe(true);
  }

  async pass(ms: number): Promise<void> {
    this.#now += ms;
    await this.#timed.pass(ms);
  }

  /** Delivers all that is left. */
  async finish(): Promise<void> {
    for (let left = 1; left > 0;) {
      while (this.inFlight.length > 0) await this.end({ how: 'delivered', which: 0 });
      await this.pass(1_000_000);
      left = await this.claim({ sweep: true });
    }
    for (const [key, { newest, delivered, died, waits }] of this.keys) {
      expect([key, waits]).toEqual([key, false]);
      expect([key, Math.max(delivered, died)]).toEqual([key, newest]);
    }
    await this.#timed.check();
  }
}

async function walk(timed: Timed, steps: readonly Step[]): Promise<void> {
  const model = new Model(timed);
  for (const one of steps) {
    if (one.do === 'record') await model.record(one);
    else if (one.do === 'claim') await model.claim(one);
    else if (one.do === 'end') await model.end(one);
    else await model.pass(one.seconds * 1_000);
    await timed.check();
  }
  await model.finish();
}

describe.each(Object.entries(makers))('messages of one key: %s', (name, make) => {
  it(
    'the last one delivered has the newest payload, one at a time, and none that waits is lost',
    { timeout: 300_000 },
    async () => {
      const property = fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) =>
        walk(await make(), steps),
      );
      await fc.assert(property, { numRuns: name === 'memory' ? 500 : 40 });
    },
  );
});
