import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClaimedMessage } from '../../src/outbox/message.ts';
import { createMemoryOutbox } from '../../src/outbox/memory.ts';
import type { Claim } from '../../src/outbox/port.ts';
import { createLeases, type Held } from '../../src/worker/lease.ts';

const leaseMs = 9_000;
const message = (id: string): ClaimedMessage => ({ id, claimToken: `t${id}` }) as ClaimedMessage;

function world(extend: (claims: readonly Claim[]) => Promise<string[]>) {
  const clock = { now: () => 0 };
  return { leases: createLeases({ ...createMemoryOutbox(), extend }, leaseMs, clock), clock };
}

describe('leases', () => {
  it('C: what is held is renewed and nothing else, and what the database does not keep is lost, in whatever order they end', async () => {
    const step = fc.oneof(fc.constant('hold' as const), fc.nat({ max: 20 }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.func(fc.boolean()), async (script, keeps) => {
        let asked: readonly Claim[] = [];
        const { leases } = world(async (claims) => {
          asked = claims;
          return claims.map(({ id }) => id).filter((id) => keeps(id));
        });
        const held = new Map<string, Held>();
        let made = 0;
        for (const one of script) {
          if (one === 'hold') held.set(`${++made}`, leases.hold(message(`${made}`), 0));
          const id = typeof one === 'number' ? [...held.keys()][one] : undefined;
          if (id === undefined) continue;
          leases.drop(held.get(id)!);
          leases.drop(held.get(id)!); // again is none
          held.delete(id);
        }
        await leases.renew();
        expect(asked.map(({ id }) => id).toSorted()).toEqual([...held.keys()].toSorted());
        for (const [id, { signal }] of held) expect(signal.aborted).toBe(!keeps(id));
        leases.giveBack();
        for (const one of held.values()) expect([one.signal.aborted, one.isSafe()]).toEqual([true, false]);
      }),
    );
  });

  it('C: what ended while its lease was being renewed is not lost', async () => {
    const answer = Promise.withResolvers<string[]>();
    const { leases } = world(() => answer.promise);
    const [ended, other] = [leases.hold(message('a'), 0), leases.hold(message('b'), 0)];
    const renewing = leases.renew();
    leases.drop(ended);
    answer.resolve([]);
    await renewing;
    expect([ended.signal.aborted, other.signal.aborted]).toEqual([false, true]);
  });

  it('C: tells those who listen, functions and objects, in their order, and not who went', () => {
    const { leases } = world(async () => []);
    const { signal } = leases.hold(message('a'), 0);
    const heard: string[] = [];
    const gone = { handleEvent: (): void => void heard.push('gone') };
    signal.addEventListener('abort', () => void heard.push('function'));
    signal.addEventListener('abort', gone);
    signal.addEventListener('abort', { handleEvent: () => void heard.push('object') });
    signal.removeEventListener('abort', gone);
    leases.giveBack();
    leases.giveBack();
    expect(heard).toEqual(['function', 'object']);
  });
});
