// What every OutboxPort must do, told as tests. Each implementation runs all of it.

import { beforeAll, describe, expect, it } from 'vitest';
import type { NewMessage, Status } from '../../src/outbox/message.ts';
import type { Settlement } from '../../src/outbox/outcome.ts';
import type { Claim, OutboxPort } from '../../src/outbox/port.ts';
import { isAllowed, transitions, type Action } from '../../src/outbox/transitions.ts';

export type Seen = { readonly status: Status; readonly attempts: number; readonly lastError: string | null };

export type Harness = {
  readonly port: OutboxPort;
  /** What stands in the store. */
  see(id: string): Promise<Seen>;
  /** Ends a waiting message by hand: not a port's method. */
  cancel(id: string): Promise<void>;
};

const anyToken = '00000000-0000-4000-8000-000000000000';
let serial = 0;

/** A message in a queue of its own, so that tests do not claim one another's. */
function fresh(over: Partial<NewMessage> = {}): NewMessage {
  serial++;
  return {
    kind: 'job',
    name: 'suite.job',
    queue: `q${serial}`,
    payload: { n: serial },
    maxAttempts: 3,
    ...over,
  };
}

export function outboxPortSuite(name: string, make: () => Promise<Harness>): void {
  describe(`OutboxPort: ${name}`, () => {
    let h: Harness;
    beforeAll(async () => {
      h = await make();
    });

    async function enqueue(over: Partial<NewMessage> = {}): Promise<{ id: string; queue: string }> {
      const message = fresh(over);
      const { id } = await h.port.enqueue(message);
      return { id, queue: message.queue };
    }

    async function claim(queue: string, limit = 10, leaseMs = 60_000) {
      return h.port.claimBatch({ limit, leaseMs, workerId: 'suite', queues: [queue] });
    }

    async function claimed(over: Partial<NewMessage> = {}): Promise<Claim & { queue: string }> {
      const { id, queue } = await enqueue(over);
      const [message] = await claim(queue);
      expect(message?.id).toBe(id);
      return { id, queue, claimToken: message!.claimToken };
    }

    recordTests(() => h, enqueue, claim);
    claimTests(() => h, enqueue, claim, claimed);
    settleTests(() => h, claim, claimed);
    expiryTests(() => h, claim, enqueue);
    onceTests(() => h);
    transitionTests(() => h, enqueue, claim, claimed);
  });
}

type Enqueue = (over?: Partial<NewMessage>) => Promise<{ id: string; queue: string }>;
type ClaimFn = (queue: string, limit?: number, leaseMs?: number) => ReturnType<OutboxPort['claimBatch']>;
type Claimed = (over?: Partial<NewMessage>) => Promise<Claim & { queue: string }>;

function recordTests(h: () => Harness, enqueue: Enqueue, claim: ClaimFn): void {
  it('gives one answer for each message of an array, in their order', async () => {
    const given = [fresh({ deliveryKey: 'a' }), fresh(), fresh({ deliveryKey: 'a' })];
    const answers = await h().port.enqueue(given);
    expect(answers).toHaveLength(3);
    expect(answers[2]).toEqual({ id: answers[0]!.id, status: 'pending', duplicate: true });
    expect(await h().port.enqueue([])).toEqual([]);
  });

  it('a delivery key that stands records nothing and gives the first id', async () => {
    const first = await h().port.enqueue(fresh({ deliveryKey: 'stands' }));
    expect(await h().port.enqueue(fresh({ deliveryKey: 'stands' }))).toEqual({ ...first, duplicate: true });
    expect((await h().port.enqueue(fresh({ deliveryKey: 'stands', name: 'other' }))).duplicate).toBe(false);
  });

  it('a dead or cancelled holder does not swallow the next message', async () => {
    const dead = fresh({ deliveryKey: 'dies' });
    const first = await h().port.enqueue(dead);
    const [message] = await claim(dead.queue);
    await h().port.markFailed(first.id, message!.claimToken, 'no', { permanent: true });
    expect((await h().port.enqueue(dead)).duplicate).toBe(false);
    const stopped = await enqueue({ deliveryKey: 'stops' });
    await h().cancel(stopped.id);
    expect((await h().port.enqueue(fresh({ deliveryKey: 'stops' }))).duplicate).toBe(false);
  });

  it.each<[string, Partial<NewMessage>, string]>([
    ['U+0000 in the payload', { payload: { a: ['x\0'] } }, 'null_character'],
    ['U+0000 in a key', { payload: { 'a\0': 1 } }, 'null_character'],
    ['half a surrogate pair', { payload: { a: '\ud800' } }, 'invalid_unicode'],
    ['a payload that JSON cannot hold', { payload: { a: 1n } }, 'payload_not_json'],
    ['no payload', { payload: undefined }, 'payload_not_json'],
    ['a payload that is too large', { payload: 'x'.repeat(300_000) }, 'payload_too_large'],
    ['a kind that is none', { kind: 'carrier-pigeon' as 'job' }, 'unknown_kind'],
    ['an empty name', { name: '' }, 'name_invalid'],
    ['a queue with a slash', { queue: 'a/b' }, 'queue_invalid'],
    ['an empty delivery key', { deliveryKey: '' }, 'delivery_key_invalid'],
    ['a delivery key with a line break', { deliveryKey: 'a\nb' }, 'delivery_key_invalid'],
    ['a delivery key of a megabyte', { deliveryKey: 'k'.repeat(1_000_000) }, 'delivery_key_invalid'],
    ['no attempts', { maxAttempts: 0 }, 'max_attempts_invalid'],
    ['half an attempt', { maxAttempts: 1.5 }, 'max_attempts_invalid'],
    ['a priority beyond an int', { priority: 2 ** 31 }, 'priority_invalid'],
    ['an invalid date', { availableAt: new Date(Number.NaN) }, 'invalid_time'],
    ['a date in the year 20000', { availableAt: new Date(Date.UTC(20_000, 0)) }, 'invalid_time'],
  ])('refuses %s and records nothing, good neighbours included', async (_, over, code) => {
    const good = fresh();
    await expect(h().port.enqueue([good, fresh(over)])).rejects.toMatchObject({ code });
    expect(await claim(good.queue)).toEqual([]);
  });

  it('keeps a text that only looks like an escape', async () => {
    const { queue } = await enqueue({ payload: { text: '\\u0000 \\ud800' } });
    expect((await claim(queue))[0]?.payload).toEqual({ text: '\\u0000 \\ud800' });
  });
}

function claimTests(h: () => Harness, enqueue: Enqueue, claim: ClaimFn, claimed: Claimed): void {
  it('E: an attempt counts when it is claimed', async () => {
    const { id } = await claimed();
    expect(await h().see(id)).toMatchObject({ status: 'sending', attempts: 1 });
  });

  it('C: two claims never hold the same message', async () => {
    const { queue } = await enqueue();
    const both = await Promise.all([claim(queue), claim(queue)]);
    expect(both.flat()).toHaveLength(1);
  });

  it('claims no more than the limit, the most urgent first, and nothing that is not due', async () => {
    const { queue } = await enqueue({ priority: -5 });
    await h().port.enqueue([
      fresh({ queue, priority: 7, payload: 'urgent' }),
      fresh({ queue, priority: 9, availableAt: new Date(Date.now() + 3_600_000) }),
    ]);
    const first = await claim(queue, 1);
    expect(first.map((m) => m.payload)).toEqual(['urgent']);
    expect(await claim(queue)).toHaveLength(1);
    expect(await claim(queue)).toEqual([]);
    expect(await claim(queue, 0)).toEqual([]);
  });

  it('claims by id, kind and queue', async () => {
    const { id, queue } = await enqueue();
    const request = { limit: 5, leaseMs: 60_000, workerId: 'suite' };
    expect(await h().port.claimBatch({ ...request, ids: [] })).toEqual([]);
    expect(await h().port.claimBatch({ ...request, ids: [anyToken] })).toEqual([]);
    expect(await h().port.claimBatch({ ...request, queues: [queue], kinds: ['email'] })).toEqual([]);
    const [message] = await h().port.claimBatch({ ...request, ids: [id] });
    expect(message).toMatchObject({
      id,
      kind: 'job',
      name: 'suite.job',
      queue,
      attempt: 1,
      maxAttempts: 3,
      deliveryKey: null,
    });
  });

  it('C: only the holder extends', async () => {
    const held = await claimed();
    expect(await h().port.extend([held], 60_000)).toEqual([held.id]);
    expect(await h().port.extend([{ id: held.id, claimToken: anyToken }], 60_000)).toEqual([]);
    expect(await h().port.extend([], 60_000)).toEqual([]);
  });
}

function settleTests(h: () => Harness, claim: ClaimFn, claimed: Claimed): void {
  it('C: a stale token settles nothing', async () => {
    const first = await claimed();
    await h().port.markFailed(first.id, first.claimToken, 'again');
    const [second] = await claim(first.queue);
    expect(await h().port.markDelivered(first.id, first.claimToken)).toBe(false);
    expect(await h().port.markFailed(first.id, first.claimToken, 'late')).toBe(false);
    expect(await h().see(first.id)).toMatchObject({ status: 'sending', attempts: 2, lastError: 'again' });
    expect(await h().port.markDelivered(first.id, second!.claimToken)).toBe(true);
  });

  it('a failed message is due after its delay; the last attempt ends it', async () => {
    const one = await claimed({ maxAttempts: 2 });
    await h().port.markFailed(one.id, one.claimToken, 'later', { delayMs: 3_600_000 });
    expect(await h().see(one.id)).toMatchObject({ status: 'failed', attempts: 1, lastError: 'later' });
    expect(await claim(one.queue)).toEqual([]);
    const two = await claimed({ maxAttempts: 1 });
    await h().port.markFailed(two.id, two.claimToken, 'over');
    expect(await h().see(two.id)).toMatchObject({ status: 'dead', attempts: 1, lastError: 'over' });
  });

  it('a released message has its attempt back', async () => {
    const one = await claimed();
    const back: Settlement = {
      id: one.id,
      claimToken: one.claimToken,
      to: 'released',
      error: null,
      delay: 0,
    };
    await h().port.settle([back]);
    expect(await h().see(one.id)).toMatchObject({ status: 'pending', attempts: 0, lastError: null });
    expect(await claim(one.queue)).toHaveLength(1);
  });

  it('a delivery adds its messages if and only if it was recorded', async () => {
    const event = await claimed({ kind: 'event' });
    const child = fresh({ kind: 'listener' });
    expect(await h().port.markDelivered(event.id, anyToken, [child])).toBe(false);
    expect(await claim(child.queue)).toEqual([]);
    expect(await h().port.markDelivered(event.id, event.claimToken, [child])).toBe(true);
    expect(await claim(child.queue)).toHaveLength(1);
  });

  it('a batch settles what it may and leaves the rest out of the answer', async () => {
    const [one, two] = [await claimed(), await claimed()];
    const stale: Settlement = { id: two.id, claimToken: anyToken, to: 'dead', error: 'x', ambiguous: false };
    const settled = await h().port.settle([{ ...one, to: 'delivered', then: [] }, stale]);
    expect(settled.map((s) => [s.id, s.status])).toEqual([[one.id, 'delivered']]);
    expect(await h().port.settle([])).toEqual([]);
  });
}

function expiryTests(h: () => Harness, claim: ClaimFn, enqueue: Enqueue): void {
  /** Claims with a lease that is over at once, and waits until it was ended. */
  async function lapse(queue: string) {
    await claim(queue, 1, 1);
    const ended = [];
    while (ended.length === 0) ended.push(...(await h().port.expire(100)).filter((e) => e.queue === queue));
    return ended[0]!;
  }

  it('B: a lease that ran out makes the message due again, and the attempt counts', async () => {
    const { id, queue } = await enqueue({ requestId: 'r-1' });
    expect(await lapse(queue)).toMatchObject({
      id,
      kind: 'job',
      status: 'failed',
      attempts: 1,
      maxAttempts: 3,
      requestId: 'r-1',
    });
    const [again] = await claim(queue);
    expect(again).toMatchObject({ id, attempt: 2 });
    expect(await h().port.expire(100)).toEqual([]);
  });

  it('E: a lease that ran out in the last attempt is the end', async () => {
    const { id, queue } = await enqueue({ maxAttempts: 1 });
    expect(await lapse(queue)).toMatchObject({ id, status: 'dead', attempts: 1 });
    expect(await h().see(id)).toMatchObject({ status: 'dead', attempts: 1 });
    expect(await claim(queue)).toEqual([]);
  });

  it('F: what a worker died with can be claimed apart from the rest', async () => {
    const { id, queue } = await enqueue();
    await lapse(queue);
    const fine = await h().port.enqueue(fresh({ queue }));
    const request = { limit: 5, leaseMs: 60_000, workerId: 'suite', queues: [queue] };
    expect((await h().port.claimBatch({ ...request, expired: false })).map((m) => m.id)).toEqual([fine.id]);
    expect((await h().port.claimBatch({ ...request, expired: true })).map((m) => m.id)).toEqual([id]);
  });
}

function onceTests(h: () => Harness): void {
  it('does something once for each scope and key, and keeps the answer', async () => {
    const key = `k${++serial}`;
    let runs = 0;
    const make = async (): Promise<unknown> => ({ run: ++runs, text: 'a\0b' });
    const first = { run: 1, text: 'a\0b' };
    expect(await h().port.once({ scope: 's', key }, make)).toEqual({ answer: first, repeated: false });
    expect(await h().port.once({ scope: 's', key }, make)).toEqual({ answer: first, repeated: true });
    expect((await h().port.once({ scope: 't', key }, make)).repeated).toBe(false);
    expect(runs).toBe(2);
  });

  it('the same key with another fingerprint is a mistake; an old key is none', async () => {
    const about = { scope: 's', key: `k${++serial}`, fingerprint: 'a' };
    await h().port.once(about, async () => 1);
    const other = h().port.once({ ...about, fingerprint: 'b' }, async () => 2);
    await expect(other).rejects.toMatchObject({ code: 'idempotency_key_reused' });
    const later = await h().port.once({ ...about, fingerprint: 'b', maxAgeMs: -1 }, async () => 3);
    expect(later).toEqual({ answer: 3, repeated: false });
  });
}

function transitionTests(h: () => Harness, enqueue: Enqueue, claim: ClaimFn, claimed: Claimed): void {
  const reach: Record<Status, () => Promise<Claim & { queue: string }>> = {
    pending: async () => ({ ...(await enqueue()), claimToken: anyToken }),
    sending: claimed,
    failed: () => end((c) => h().port.markFailed(c.id, c.claimToken, 'no')),
    delivered: () => end((c) => h().port.markDelivered(c.id, c.claimToken)),
    dead: () => end((c) => h().port.markFailed(c.id, c.claimToken, 'no', { permanent: true })),
    async cancelled() {
      const message = await enqueue();
      await h().cancel(message.id);
      return { ...message, claimToken: anyToken };
    },
  };

  async function end(how: (c: Claim) => Promise<boolean>): Promise<Claim & { queue: string }> {
    const one = await claimed();
    expect(await how(one)).toBe(true);
    return one;
  }

  const act: Partial<Record<Action, (c: Claim & { queue: string }) => Promise<unknown[]>>> = {
    claim: (c) => claim(c.queue),
    deliver: (c) => h().port.settle([{ id: c.id, claimToken: c.claimToken, to: 'delivered', then: [] }]),
    fail: (c) =>
      h().port.settle([
        { id: c.id, claimToken: c.claimToken, to: 'failed', error: 'e', delay: 0, ambiguous: false },
      ]),
    kill: (c) =>
      h().port.settle([{ id: c.id, claimToken: c.claimToken, to: 'dead', error: 'e', ambiguous: false }]),
    release: (c) =>
      h().port.settle([{ id: c.id, claimToken: c.claimToken, to: 'released', error: null, delay: 0 }]),
  };

  for (const [action, run] of Object.entries(act) as [Action, NonNullable<(typeof act)[Action]>][])
    for (const status of Object.keys(reach) as Status[])
      it(`${action} from ${status} is ${isAllowed(action, status) ? 'allowed' : 'refused'}`, async () => {
        const message = await reach[status]();
        const before = await h().see(message.id);
        const done = await run(message);
        const after = await h().see(message.id);
        if (isAllowed(action, status)) {
          expect(done).toHaveLength(1);
          expect(transitions[action].to).toContain(after.status);
        } else {
          expect(done).toEqual([]);
          expect(after).toEqual(before);
        }
      });
}
