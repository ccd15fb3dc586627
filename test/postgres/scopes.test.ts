// What a handler does at the same time in one transaction: queries, nested transactions, recording, idempotent, and failures among them.
// Postgres is real; the handler runs as an action runs it.

import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createActionRunner } from '../../src/action/run.ts';
import { defineAction } from '../../src/define/action.ts';
import { defineApp } from '../../src/define/app.ts';
import type { ActionContext, ContextDatabase } from '../../src/define/context.ts';
import { defineJob } from '../../src/define/job.ts';
import { createRegistry } from '../../src/define/registry.ts';
import { idempotent } from '../../src/index.ts';
import { createLog } from '../../src/metrics/log.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let script: (ctx: ActionContext) => unknown;
const other = defineJob({
  name: 'other',
  payload: z.object({ name: z.string() }),
  handler: async () => undefined,
});
const action = defineAction({
  name: 'parallel',
  args: z.object({}),
  access: 'public',
  handler: async (ctx) => void (await script(ctx)),
});

let database: TestDatabase;
let run: (what: (ctx: ActionContext) => unknown) => Promise<unknown>;
const warnings: string[] = [];
const onWarning = ({ message }: Error): void => void warnings.push(message);

beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql('create table effects (name text)');
  const runner = createActionRunner({
    db: database.db,
    registry: createRegistry(defineApp({ actions: [action], jobs: [other] })),
    outboxOn: createPostgresOutbox,
    emailFrom: null,
    log: createLog({ level: 'silent', role: 'test' }),
    notify: () => undefined,
  });
  run = async (what) => {
    script = what;
    return runner.run('parallel', {}, { invoker: { type: 'anonymous' }, requestId: 'test' });
  };
  process.on('warning', onWarning);
});
beforeEach(() =>
  database.db.executeSql('truncate waybill.outbox_messages, waybill.outbox_idempotency, effects cascade'),
);
afterEach(() => {
  expect(warnings.filter((text) => text.includes('client.query()'))).toEqual([]); // pg 9 has no queue
});
afterAll(async () => {
  process.off('warning', onWarning);
  await database.end();
});

const write = async (db: ContextDatabase, name: string): Promise<void> =>
  void (await db.query('insert into effects values ($1)', [name]));

/** The names that stand, as rows and as messages. */
async function standing(): Promise<{ rows: string[]; messages: string[] }> {
  const sql = `select (select coalesce(array_agg(name order by name), '{}') from effects) as rows,
    (select coalesce(array_agg(payload->>'name' order by payload->>'name'), '{}') from waybill.outbox_messages) as messages`;
  return (await database.db.executeSql<{ rows: string[]; messages: string[] }>(sql)).rows[0]!;
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('A: nested transactions at the same time', () => {
  it('each stands or falls alone, whichever ends first', async () => {
    await run(async (ctx) => {
      const a = ctx.db.transaction(async (tx) => {
        await write(tx, 'A');
        await ctx.jobs.dispatch(other, { name: 'A' });
        await wait(30);
      });
      const b = ctx.db.transaction(async (tx) => {
        await write(tx, 'B');
        await ctx.jobs.dispatch(other, { name: 'B' });
        await wait(5);
        throw new Error('only B');
      });
      expect(await Promise.allSettled([a, b])).toMatchObject([
        { status: 'fulfilled' },
        { status: 'rejected' },
      ]);
    });
    expect(await standing()).toEqual({ rows: ['A'], messages: ['A'] });
  });

  it('what the transaction around them is asked meanwhile waits, and does not fall with them', async () => {
    await run(async (ctx) => {
      const b = ctx.db.transaction(async (tx) => {
        await write(tx, 'B');
        await wait(10);
        throw new Error('only B');
      });
      const around = [write(ctx.db, 'around'), ctx.jobs.dispatch(other, { name: 'around' })];
      const keyed = idempotent(ctx, 'key', async () => write(ctx.db, 'keyed'));
      await Promise.allSettled([b, ...around, keyed]);
    });
    expect(await standing()).toEqual({ rows: ['around', 'keyed'], messages: ['around'] });
  });

  it('what is asked of ctx inside one belongs to it, whichever handle it uses', async () => {
    await run(async (ctx) => {
      await ctx.db
        .transaction(async () => {
          await write(ctx.db, 'through ctx');
          await ctx.db.transaction(() => write(ctx.db, 'deeper'));
          throw new Error('undone');
        })
        .catch(() => undefined);
      await ctx.db.transaction(async (tx) => {
        await ctx.db.transaction(async () => {
          await write(tx, 'through the one around'); // tx waits for this function: it would wait for ever
        });
      });
    });
    expect(await standing()).toEqual({ rows: ['through the one around'], messages: [] });
  });

  it('idempotent: keys at the same time are independent, the same key runs once, a failing one is free again', async () => {
    await run(async (ctx) => {
      let runs = 0;
      const once = (key: string, fails = false): Promise<string> =>
        idempotent(ctx, key, async () => {
          runs += 1;
          await write(ctx.db, key);
          await wait(3);
          if (fails) throw new Error(`${key} fails`);
          return key;
        });
      const ended = await Promise.allSettled([once('a'), once('b', true), once('a'), once('c'), once('b')]);
      expect(ended.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
        'fulfilled',
        'fulfilled',
      ]);
      expect(runs).toBe(4);
    });
    expect((await standing()).rows).toEqual(['a', 'b', 'c']);
  });

  it('many queries at the same time: each has its own answer', async () => {
    await run(async (ctx) => {
      const all = Array.from({ length: 50 }, (_, n) =>
        ctx.db.query<{ n: number }>('select $1::int as n', [n]),
      );
      expect((await Promise.all(all)).map(({ rows }) => rows[0]!.n)).toEqual(
        Array.from({ length: 50 }, (_, n) => n),
      );
    });
  });
});

describe('A: work that a function does not await', () => {
  it.each<[string, (ctx: ActionContext) => unknown]>([
    ['a query', (ctx) => void ctx.db.query('select pg_sleep(0.05)')],
    ['a message', (ctx) => void ctx.jobs.dispatch(other, { name: 'late' })],
    ['a nested transaction', (ctx) => void ctx.db.transaction(() => wait(20))],
    ['idempotent', (ctx) => void idempotent(ctx, 'k', () => wait(20))],
    [
      'something inside a nested one',
      (ctx) => ctx.db.transaction((tx) => void tx.query('select pg_sleep(0.05)')),
    ],
    [
      'one of several, when another failed',
      async (ctx) => {
        await Promise.all([
          ctx.db.query('select pg_sleep(0.05)'),
          ctx.db.transaction(() => Promise.reject(new Error('x'))),
          ctx.db.query('select 1'),
        ]).catch(() => undefined);
        void ctx.db.query('select pg_sleep(0.05)');
      },
    ],
  ])('%s: nothing is kept, and the error says so', async (_, leave) => {
    const running = run(async (ctx) => {
      await write(ctx.db, 'before');
      await leave(ctx);
    });
    await expect(running).rejects.toMatchObject({ code: 'work_not_awaited' });
    expect(await standing()).toEqual({ rows: [], messages: [] });
  });

  it('a nested transaction that has ended is not to be used any more', async () => {
    let leaked: ContextDatabase | undefined;
    let late: Promise<unknown> | undefined;
    await run(async (ctx) => {
      await ctx.db.transaction(async (tx) => {
        leaked = tx;
        late = wait(20)
          .then(() => write(ctx.db, 'late'))
          .catch((error: unknown) => error);
      });
      await expect(write(leaked!, 'leaked')).rejects.toMatchObject({ code: 'transaction_ended' });
      expect(await late).toMatchObject({ code: 'transaction_ended' });
    });
    await expect(write(leaked!, 'after all')).rejects.toMatchObject({ code: 'context_closed' });
    expect(await standing()).toEqual({ rows: [], messages: [] });
  });

  it('that goes on after a failure leaves no trace in the transactions that follow on the connection', async () => {
    const gate = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<unknown>();
    const running = run(async (ctx) => {
      const slow = ctx.db.transaction(async (tx) => {
        await write(tx, 'slow');
        await gate.promise;
        await write(tx, 'slow, late');
      });
      slow.then(ended.resolve, ended.resolve);
      await wait(10);
      throw new Error('the handler gives up');
    });
    await expect(running).rejects.toThrow('gives up');
    const next = run(async (ctx) => {
      await write(ctx.db, 'next');
      gate.resolve();
      expect(await ended.promise).toMatchObject({ code: 'context_closed' });
      await write(ctx.db, 'next, later');
    });
    await next;
    expect((await standing()).rows).toEqual(['next', 'next, later']);
  });

  it('a nested one that caught the error of a statement is told that nothing of it was kept', async () => {
    await run(async (ctx) => {
      const inner = ctx.db.transaction(async (tx) => {
        await write(tx, 'lost');
        await tx.query('nonsense').catch(() => undefined);
      });
      await expect(inner).rejects.toThrow(/nothing was committed: a statement .* had failed/);
      await write(ctx.db, 'kept');
    });
    expect((await standing()).rows).toEqual(['kept']);
  });
});

/** What a function of a transaction does: its steps one after the other or at the same time, and then it may throw. */
type Plan = { readonly steps: readonly Step[]; readonly parallel: boolean; readonly throws: boolean };
type Step =
  | { readonly do: 'write' | 'record' | 'wait'; readonly through: 'ctx' | 'tx' }
  | { readonly do: 'nest' | 'once'; readonly plan: Plan };

const { plan } = fc.letrec<{ plan: Plan; step: Step }>((tie) => ({
  plan: fc.record({
    steps: fc.array(tie('step'), { maxLength: 4, depthIdentifier: 'plan' }),
    parallel: fc.boolean(),
    throws: fc.boolean().chain((a) => fc.boolean().map((b) => a && b)),
  }),
  step: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'plan', withCrossShrink: true },
    fc.record({
      do: fc.constantFrom('write' as const, 'record' as const, 'wait' as const),
      through: fc.constantFrom('ctx' as const, 'tx' as const),
    }),
    fc.record({ do: fc.constantFrom('nest' as const, 'once' as const), plan: tie('plan') }),
  ),
}));

/** What stands when it is carried out: of a branch that throws nothing, of all others everything. */
function expected({ steps, throws }: Plan, path: string): { rows: string[]; messages: string[] } {
  if (throws) return { rows: [], messages: [] };
  const parts = steps.map((step, i) => {
    const name = `${path}.${i}`;
    if (step.do === 'write') return { rows: [name], messages: [] };
    if (step.do === 'record') return { rows: [], messages: [name] };
    return 'plan' in step ? expected(step.plan, name) : { rows: [], messages: [] };
  });
  return { rows: parts.flatMap((p) => p.rows), messages: parts.flatMap((p) => p.messages) };
}

async function carryOut(
  { steps, parallel, throws }: Plan,
  path: string,
  ctx: ActionContext,
  tx: ContextDatabase,
): Promise<void> {
  const one = async (step: Step, i: number): Promise<unknown> => {
    const name = `${path}.${i}`;
    switch (step.do) {
      case 'write':
        return write(step.through === 'ctx' ? ctx.db : tx, name);
      case 'record':
        return ctx.jobs.dispatch(other, { name });
      case 'wait':
        return wait(1);
      case 'nest':
        return ctx.db.transaction((inner) => carryOut(step.plan, name, ctx, inner)).catch(onlyPlanned);
      case 'once':
        return idempotent(ctx, name, () => carryOut(step.plan, name, ctx, tx)).catch(onlyPlanned);
    }
  };
  if (parallel) await Promise.all(steps.map(one));
  else for (const [i, step] of steps.entries()) await one(step, i);
  if (throws) throw new Error('planned');
}

function onlyPlanned(error: Error): void {
  if (error.message !== 'planned') throw error;
}

it('A: of any tree of parallel and nested work, what resolved stands and what threw does not', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async (tree) => {
      await database.db.executeSql(
        'truncate waybill.outbox_messages, waybill.outbox_idempotency, effects cascade',
      );
      await run((ctx) => carryOut(tree, 'r', ctx, ctx.db)).catch(onlyPlanned);
      const { rows, messages } = expected(tree, 'r');
      expect(await standing()).toEqual({ rows: rows.toSorted(), messages: messages.toSorted() });
    }),
    { numRuns: 80 },
  );
});
