// Which emails go together, under which key, and what holds for later attempts: with a provider and plans that are made of memory.

import { describe, expect, test } from 'vitest';
import { batchingOf, type Batching } from '../../src/delivery/batching.ts';
import type { BatchPlans, KeptAnswer, Plan, PlannedEmail } from '../../src/email/batch-plan.ts';
import { prepareEmail, type EmailPayload } from '../../src/email/email.ts';
import { EmailError } from '../../src/email/error.ts';
import type { EmailProvider, Receipt } from '../../src/email/provider.ts';

const createdAt = new Date('2026-01-01T00:00:00Z');
const idOf = (n: number): string => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;

function emailTo(n: number, over: object = {}): EmailPayload {
  const input = { from: 'shop@shop.test', to: `a${n}@b.test`, subject: 's', text: 't', ...over };
  return prepareEmail(input, { defaultFrom: null });
}

type Row = { planned: PlannedEmail; batch: string | null; again: boolean; answer: KeptAnswer | null };

/** The table in memory. */
function memoryPlans() {
  const rows = new Map<string, Row>();
  const state = { away: false, young: true, foreign: false };
  const of = (batch: string): Row[] => [...rows.values()].filter((row) => row.batch === batch);
  const plans: BatchPlans = {
    async find(ids) {
      if (state.away) throw new Error('away');
      const known = ids.filter((id) => rows.has(id));
      return new Map(
        known.map((id): [string, Plan] => {
          const { batch, answer } = rows.get(id)!;
          return [id, { batch, young: state.young, answer, isForeign: state.foreign }];
        }),
      );
    },
    async write(emails) {
      for (const planned of emails)
        rows.set(planned.messageId, { planned, batch: planned.batch, again: false, answer: null });
    },
    async again(batch) {
      const members = of(batch);
      for (const row of members) row.again = true;
      if (members.length === 0 || members.length < members[0]!.planned.size) return undefined;
      return members.map(({ planned: { messageId: id, recipients } }) => {
        return { id, payload: emailTo(Number(id.slice(-12))), createdAt, recipients };
      });
    },
    async free(batch, { force }) {
      for (const row of of(batch)) if (force || !row.again) row.batch = null;
    },
    async keep(batch, answers) {
      for (const row of of(batch)) row.answer ??= answers.get(row.planned.messageId) ?? null;
    },
  };
  return { plans, rows, state };
}

type Request = { readonly key: string; readonly ids: readonly string[]; readonly body: string };
type End = Receipt | EmailError;

const receipt = (id: string): Receipt => ({ accepted: [], rejected: [], response: `taken ${id}` });
const failure = (status: number, code?: string) =>
  new EmailError(`HTTP ${status}`, { provider: 'test', phase: 'answered', status, code });
/** As a provider in a bundle, which has a copy of this package, makes it. */
const copyOf = (error: EmailError): EmailError => {
  const { message, ...facts } = error;
  return Object.assign(new Error(message), facts);
};
const classes: readonly (readonly [string, typeof copyOf])[] = [
  ['its own error', (error) => error],
  ['an error of another copy of this package', copyOf],
];
const lost = () => new EmailError('lost', { provider: 'test', phase: 'sent' });

function setup({ size = 3 } = {}) {
  const requests: Request[] = [];
  const alone: string[] = [];
  const memory = memoryPlans();
  const say = { next: (ids: readonly string[]): readonly End[] => ids.map(receipt) };
  const provider: EmailProvider = {
    name: 'test',
    idempotent: true,
    async send(_, { idempotencyKey }) {
      alone.push(idempotencyKey);
      return receipt(idempotencyKey);
    },
    batch: {
      size,
      takes: ({ attachments = [] }) => attachments.length === 0,
      async send(mails, { idempotencyKey: key }) {
        const ids = mails.map(({ about }) => about.idempotencyKey);
        requests.push({ key, ids, body: JSON.stringify(mails) });
        return say.next(ids);
      },
    },
  };
  let batches = 0;
  const newBatch = (): string => `batch ${(batches += 1)}`;
  const batching = batchingOf(provider, { plans: memory.plans, emailFrom: null, newBatch })!;
  return { ...memory, batching, requests, alone, say };
}

const open = new AbortController().signal;

function send(batching: Batching, n: number, { attempt = 1, email = emailTo(n), signal = open } = {}) {
  const recipients = email.to.map(({ address }) => address);
  const about = { messageId: `<${idOf(n)}@shop.test>`, idempotencyKey: idOf(n), date: createdAt, recipients };
  return batching.send(email, { ...about, signal }, attempt);
}

const responses = async (sent: readonly Promise<Receipt>[]): Promise<string[]> =>
  (await Promise.allSettled(sent)).map((end) =>
    end.status === 'fulfilled' ? end.value.response : (end.reason as Error).message,
  );

describe('a first attempt', () => {
  test('what begins in one turn goes in one request, no more than the provider takes, each with its own answer', async () => {
    const { batching, requests, alone, rows } = setup();
    const told = await responses([1, 2, 3, 4, 5, 6, 7].map((n) => send(batching, n)));
    expect(told).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) => `taken ${idOf(n)}`));
    expect(requests.map(({ key, ids }) => [key, ids.length])).toEqual([
      ['batch 1', 3],
      ['batch 2', 3],
    ]);
    expect(alone).toEqual([idOf(7)]);
    expect(rows.get(idOf(7))?.batch).toBe(idOf(7)); // so that it is not among others at a later attempt
  });

  test('one that begins in another turn, or may not be among others, goes alone under its own key', async () => {
    const { batching, requests, alone, rows } = setup();
    const email = emailTo(2, { attachments: [{ filename: 'f', content: 'c' }] });
    await Promise.all([send(batching, 1), send(batching, 2, { email })]);
    await send(batching, 3);
    expect(requests).toEqual([]);
    expect(alone.toSorted()).toEqual([idOf(1), idOf(2), idOf(3)]);
    expect(rows.has(idOf(2))).toBe(false);
  });

  test.each(classes)(
    'the provider refuses one of them (%s): that one alone, also when an operator has it tried again',
    async (_, made) => {
      const { batching, requests, alone, say } = setup();
      say.next = (ids) => ids.map((id) => (id === idOf(2) ? made(failure(422)) : receipt(id)));
      const told = await responses([1, 2, 3].map((n) => send(batching, n)));
      expect(told).toEqual([`taken ${idOf(1)}`, 'HTTP 422', `taken ${idOf(3)}`]);
      await send(batching, 2);
      expect(requests).toHaveLength(1);
      expect(alone).toEqual([idOf(2)]);
    },
  );

  test('the plans cannot be read: nothing is sent, and it is no failure of the message', async () => {
    const { batching, requests, alone, state } = setup();
    state.away = true;
    const told = await responses([1, 2].map((n) => send(batching, n)));
    expect(told).toEqual(Array(2).fill('the plans of batches could not be read or written'));
    expect([...requests, ...alone]).toEqual([]);
  });
});

describe('D: a later attempt', () => {
  test('asks for the whole batch with the same bytes under the same key; what it heard holds for the others', async () => {
    const { batching, requests, alone, say } = setup();
    say.next = () => {
      throw lost();
    };
    expect(await responses([1, 2, 3].map((n) => send(batching, n)))).toEqual(['lost', 'lost', 'lost']);
    say.next = (ids) => ids.map(receipt);
    expect((await send(batching, 2, { attempt: 2 })).response).toBe(`taken ${idOf(2)}`);
    expect((await send(batching, 3, { attempt: 2 })).response).toBe(`taken ${idOf(3)}`);
    expect((await send(batching, 1)).response).toBe(`taken ${idOf(1)}`); // an attempt that was given back counts as none
    expect(requests).toHaveLength(2);
    expect(requests[1]).toEqual(requests[0]);
    expect(alone).toEqual([]);
  });

  test('those who try again at the same time share the request', async () => {
    const { batching, requests, say } = setup();
    say.next = () => {
      throw failure(500);
    };
    await responses([1, 2, 3].map((n) => send(batching, n)));
    await responses([1, 2, 3].map((n) => send(batching, n, { attempt: 2 })));
    expect(requests).toHaveLength(2);
  });

  test.each([
    ['too old for its key', ({ state }: ReturnType<typeof setup>) => void (state.young = false)],
    ['not whole any more', ({ rows }: ReturnType<typeof setup>) => void rows.delete(idOf(3))],
  ])('a batch that is %s: alone', async (_, change) => {
    const world = setup();
    const { batching, requests, alone, say } = world;
    say.next = () => {
      throw lost();
    };
    await responses([1, 2, 3].map((n) => send(batching, n)));
    change(world);
    await send(batching, 1, { attempt: 2 });
    expect(requests).toHaveLength(1);
    expect(alone).toEqual([idOf(1)]);
  });

  test('one that was tried before by somebody who kept no plans stays alone', async () => {
    const { batching, requests, alone } = setup();
    await Promise.all([send(batching, 1, { attempt: 2 }), send(batching, 2, { attempt: 3 })]);
    expect(requests).toEqual([]);
    expect(alone).toEqual([idOf(1), idOf(2)]);
  });
});

describe('a request that fails as a whole', () => {
  test.each(classes)('refused for good (%s): each alone, within the attempt', async (_, made) => {
    const { batching, alone, rows, say } = setup();
    say.next = () => {
      throw made(failure(413));
    };
    expect(await responses([1, 2].map((n) => send(batching, n)))).toEqual(
      [1, 2].map((n) => `taken ${idOf(n)}`),
    );
    expect(alone).toEqual([idOf(1), idOf(2)]);
    expect(rows.get(idOf(1))?.batch).toBe(idOf(1));
  });

  test('D: taken before with other contents: nobody is sent alone', async () => {
    const { batching, alone, say } = setup();
    say.next = () => {
      throw failure(409, 'invalid_idempotent_request');
    };
    expect(await responses([1, 2].map((n) => send(batching, n)))).toEqual(['HTTP 409', 'HTTP 409']);
    expect(alone).toEqual([]);
  });

  test.each([401, 429])(
    '%i at the first request: nothing was taken, and they are free for another batch',
    async (status) => {
      const { batching, requests, say } = setup();
      say.next = () => {
        throw failure(status);
      };
      await responses([1, 2, 3].map((n) => send(batching, n)));
      say.next = (ids) => ids.map(receipt);
      await responses([1, 2, 4].map((n) => send(batching, n, { attempt: n === 4 ? 1 : 2 })));
      expect(requests.map(({ key, ids }) => [key, ids])).toEqual([
        ['batch 1', [1, 2, 3].map(idOf)],
        ['batch 2', [1, 2, 4].map(idOf)],
      ]);
    },
  );

  test.each([429, 500])('D: %i after a lost answer: the key stays', async (status) => {
    const { batching, requests, alone, say } = setup();
    const ends = [lost(), failure(status)];
    say.next = (ids) => {
      const end = ends.shift();
      if (end) throw end;
      return ids.map(receipt);
    };
    await responses([1, 2].map((n) => send(batching, n)));
    await responses([1, 2].map((n) => send(batching, n, { attempt: 2 })));
    await responses([1, 2].map((n) => send(batching, n, { attempt: 3 })));
    expect(requests.map(({ key }) => key)).toEqual(['batch 1', 'batch 1', 'batch 1']);
    expect(alone).toEqual([]);
  });
});

test('the request ends when all who wait for it are told to end, not before', async () => {
  const signals: AbortSignal[] = [];
  const memory = memoryPlans();
  const { promise, resolve } = Promise.withResolvers<void>();
  const provider: EmailProvider = {
    name: 'test',
    idempotent: true,
    send: async () => receipt('alone'),
    batch: {
      size: 100,
      takes: () => true,
      async send(_, { signal }) {
        signals.push(signal);
        resolve();
        await new Promise((done) => signal.addEventListener('abort', done));
        throw lost();
      },
    },
  };
  const batching = batchingOf(provider, { plans: memory.plans, emailFrom: null, newBatch: () => 'b' })!;
  const controllers = [new AbortController(), new AbortController()];
  const sent = responses(controllers.map(({ signal }, n) => send(batching, n + 1, { signal })));
  await promise;
  controllers[0]!.abort();
  expect(signals[0]!.aborted).toBe(false);
  controllers[1]!.abort();
  expect(await sent).toEqual(['lost', 'lost']);
});

test('a provider without batches has none', () => {
  const provider = { name: 'test', idempotent: false, send: async () => receipt('') };
  const ports = { plans: memoryPlans().plans, emailFrom: null, newBatch: () => 'b' };
  expect(batchingOf(provider, ports)).toBeUndefined();
});
