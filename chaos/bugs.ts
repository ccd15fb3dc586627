// Bugs that are put into a copy of the sources on purpose: a harness that does not find them proves nothing. Each is a change of text that a person could
// make by mistake, the faults under which it shows, and the promise that it breaks.

import type { FaultName } from './fault.ts';

type Edit = { readonly file: string; readonly from: string; readonly to: string };

export type Bug = {
  readonly about: string;
  readonly edits: readonly Edit[];
  /** Faults of the runs that look for it. */
  readonly faults: readonly FaultName[];
};

export const bugs: Readonly<Record<string, Bug>> = {
  'settle-without-token': {
    about: 'a worker settles a message whose claim is not its own any more',
    faults: ['stop'],
    edits: [
      {
        file: 'src/outbox/settle.ts',
        from: 'where m.id ${id} and m.claim_token = ${token} and',
        to: 'where m.id ${id} and ${token} is not null and',
      },
    ],
  },
  'settle-outside-transaction': {
    about: 'the handler commits first, and its message is settled afterwards',
    faults: ['stop', 'postgres', 'kill'],
    edits: [
      {
        file: 'src/worker/end.ts',
        from: 'const [settled] = await ports.outboxOn(work.tx).settle([settlement]);\n    await (settled ? work.commit() : work.rollback());\n    return settled;',
        to: 'await work.commit();\n    return await ports.settler.settle(settlement);',
      },
    ],
  },
  'no-lease-renewal': {
    about: 'leases are not renewed while a handler runs',
    faults: [],
    edits: [{ file: 'src/worker/lease.ts', from: 'if (held.length > 0) await extend();', to: '' }],
  },
  'lease-expires-early': {
    about: 'the sweep takes claims away whose lease has not run out',
    faults: [],
    edits: [
      {
        file: 'src/outbox/expire.ts',
        from: '(claimed_until < now() or',
        to: `(claimed_until < now() + interval '1 hour' or`,
      },
    ],
  },
  'no-sweep': {
    about: 'nobody takes over the messages of a dead worker',
    faults: ['kill'],
    edits: [
      {
        file: 'src/relay/sweep.ts',
        from: 'const ended = await expireLeases(db, batch);',
        to: 'const ended = await expireLeases(db, 0);',
      },
    ],
  },
  'attempts-not-counted': {
    about: 'a claim does not count the attempt',
    faults: ['poison'],
    edits: [
      {
        file: 'src/message/transitions.ts',
        from: `attempts: 'm.attempts + 1',`,
        to: `attempts: 'greatest(m.attempts, 1)',`,
      },
    ],
  },
  'crash-is-free': {
    about: 'the sweep gives the attempt back to a message whose worker died',
    faults: ['poison'],
    edits: [
      {
        file: 'src/outbox/expire.ts',
        from: `'case when j.unbegun then m.attempts - 1 else`,
        to: `'case when true then m.attempts - 1 else`,
      },
    ],
  },
  'deploy-burns-attempts': {
    about: 'a released message keeps the attempt that it did not use',
    faults: ['term'],
    edits: [
      {
        file: 'src/message/transitions.ts',
        from: "status: `case when m.attempts <= 1 then 'pending' else 'failed' end`,\n      attempts: 'm.attempts - 1',\n      last_error: given.error,",
        to: "status: `'failed'`,\n      last_error: given.error,",
      },
    ],
  },
  'deploy-drops-claims': {
    about: 'a process that ends leaves its claims to the lease',
    faults: ['term'],
    edits: [
      {
        file: 'src/worker/attempt.ts',
        from: 'const settled = await settler.settle(settlement);\n    notify([placeOf(message)]);',
        to: 'const settled = await Promise.resolve(settler && undefined);\n    notify([placeOf(message)]);',
      },
    ],
  },
  'key-not-unique': {
    about: 'a second message with the same delivery key is recorded',
    faults: [],
    edits: [
      {
        file: 'src/outbox/record.ts',
        from: 'row.deliveryKey ?? null,',
        to: 'row.deliveryKey === undefined ? null : row.id,',
      },
    ],
  },
  'record-outside-transaction': {
    about: 'recording a message commits the transaction of its caller',
    faults: [],
    edits: [
      {
        file: 'src/store/postgres.ts',
        from: 'return enqueueOn(db, { maxBytes, keys }, given) as Promise<Enqueued & Enqueued[]>;',
        to: `return enqueueOn(db, { maxBytes, keys }, given).then(async (done) => (await db.executeSql('commit'), await db.executeSql('begin'), done)) as Promise<Enqueued & Enqueued[]>;`,
      },
    ],
  },
  'order-key-ignored': {
    about: 'messages of an order key are available at once',
    faults: [],
    edits: [{ file: 'src/outbox/record.ts', from: 'row.orderKey ?? null,', to: 'null,' }],
  },
  'limit-ignored': {
    about: 'the limit of a group is not looked at',
    faults: [],
    edits: [
      {
        file: 'sql/0003_queues.sql',
        from: `each := q.limits ->> 'groupConcurrency';`,
        to: `each := null;`,
      },
    ],
  },
  'tick-without-lock': {
    about: 'schedulers do not lock a cron job, and a tick may have two runs',
    faults: [],
    edits: [
      {
        file: 'src/cron/scheduler.ts',
        from: 'order by next_at limit $1 for update skip locked)',
        to: 'order by next_at limit $1)',
      },
      {
        file: 'sql/0009_cron.sql',
        from: 'create unique index cron_runs_tick',
        to: 'create index cron_runs_tick',
      },
      {
        file: 'src/cron/runs.ts',
        from: `on conflict (name, scheduled_at) where source = 'cron' do nothing`,
        to: '',
      },
    ],
  },
  'tick-lost-in-crash': {
    about: 'the scheduler moves a cron job on in a transaction of its own, before it records the run',
    faults: ['kill', 'postgres'],
    edits: [
      {
        file: 'src/cron/scheduler.ts',
        from: 'const recorded = await recordRuns(tx, runs, at);\n  await moveOn(tx, planned);',
        to: `await moveOn(tx, planned);\n  await tx.executeSql('commit');\n  await new Promise((resolve) => setTimeout(resolve, 900));\n  await tx.executeSql('begin');\n  const recorded = await recordRuns(tx, runs, at);`,
      },
    ],
  },
};
