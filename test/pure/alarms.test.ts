// What the page Now says first: each alarm fires for its own trouble alone, in the order of the alerts.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { alarms, type Facts } from '../../src/console/alarms.ts';
import { sentenceOf } from '../../src/console/sentence.ts';
import type { Stats } from '../../src/operate/stats.ts';
import type { ProcessSeen } from '../../src/process/heartbeat.ts';
import type { QueueView } from '../../src/queues/queues.ts';
import type { QueueAdvice } from '../../src/scale/decisions.ts';

const now = Date.parse('2026-06-01T12:00:00Z');

const process = (role: string, more: Partial<ProcessSeen> = {}): ProcessSeen =>
  ({
    id: role,
    role,
    version: '1',
    application: null,
    state: 'alive',
    stalled: [],
    heartbeatAgeSeconds: 1,
    startedAt: new Date(now - 8 * 3_600_000),
    ...more,
  }) as ProcessSeen;

const queue = (name: string, more: Partial<QueueView> = {}): QueueView =>
  ({
    name,
    state: 'open',
    also: [],
    reason: null,
    by: null,
    until: null,
    probe: null,
    providers: [],
    waiting: 3,
    ready: 3,
    ...more,
  }) as QueueView;

const byStatus = { pending: 3, sending: 1, failed: 2, dead: 0, cancelled: 0, delivered: 9 };
const well: Facts = {
  stats: { byStatus, byQueue: {}, oldestDueSeconds: 1, oldestDueSecondsByQueue: { jobs: 1 } } satisfies Stats,
  queues: [queue('jobs'), queue('email')],
  processes: [process('relay'), process('web'), process('jobs+email')],
  advice: [{ queue: 'jobs', meanSeconds: 2 } as QueueAdvice],
  troubles: {
    deadInDay: 5,
    deadLately: 0,
    blocked: [],
    running: [{ queue: 'jobs', seconds: 30 }],
    overdue: [],
    oldestTransactionSeconds: 2,
  },
  halfHour: { recorded: 5, delivered: 5 },
  now,
};
const troubles = (more: Partial<Facts['troubles']>): Partial<Facts> => ({
  troubles: { ...well.troubles, ...more },
});

const cases: readonly [alert: string, facts: Partial<Facts>, said: RegExp][] = [
  [
    'WaybillProcessesMissing',
    { processes: [process('web'), process('all', { state: 'gone', heartbeatAgeSeconds: 900 })] },
    /No relay is alive/,
  ],
  ['WaybillProcessesMissing', { processes: [process('relay')] }, /No worker is alive/],
  [
    'WaybillProcessStalled',
    { processes: [...well.processes, process('jobs', { state: 'silent', heartbeatAgeSeconds: 20 })] },
    /is silent: jobs, for 20 s/,
  ],
  [
    'WaybillProcessStalled',
    { processes: [...well.processes, process('jobs', { stalled: ['sweep'] })] },
    /stands still: jobs, in sweep/,
  ],
  [
    'WaybillQueueParked',
    { queues: [queue('email', { state: 'parked', reason: 'wrong password' })] },
    /The queue email is parked/,
  ],
  [
    'WaybillOldestDue',
    { stats: { ...well.stats, oldestDueSecondsByQueue: { jobs: 372 } } },
    /jobs is 6 m 12 s behind/,
  ],
  [
    'WaybillNothingDelivered',
    { halfHour: { recorded: 7, delivered: 0 } },
    /Nothing was delivered for half an hour/,
  ],
  [
    'WaybillCronOverdue',
    troubles({
      overdue: [
        { name: 'nightly', seconds: 400 },
        { name: 'b', seconds: 100 },
      ],
    }),
    /nightly is overdue by 6 m 40 s/,
  ],
  [
    'WaybillEmailProviderParked',
    {
      queues: [
        queue('email', {
          providers: [
            {
              name: 'resend',
              state: 'parked',
              reason: 'no answer',
              since: null,
              by: 'w',
              probe: null,
              waiting: 2,
            },
            { name: 'smtp', state: 'open', reason: null, since: null, by: null, probe: null, waiting: 0 },
          ],
        }),
      ],
    },
    /The email provider resend is parked/,
  ],
  ['WaybillDeadLettersRising', troubles({ deadLately: 2 }), /2 messages died in the last 15 minutes/],
  [
    'WaybillRunningLong',
    troubles({ running: [{ queue: 'jobs', seconds: 1_200 }] }),
    /jobs has been running for 20 m/,
  ],
  [
    'WaybillOrderKeysBlocked',
    troubles({
      blocked: [
        { queue: 'jobs', keys: 2 },
        { queue: 'b', keys: 1 },
      ],
    }),
    /block 3 order keys/,
  ],
  ['WaybillOldTransaction', troubles({ oldestTransactionSeconds: 1_000 }), /open for 16 m 40 s/],
  ['WaybillQueueForgotten', { queues: [queue('jobs', { state: 'paused' })] }, /The queue jobs is paused/],
  [
    'WaybillVersionsMixed',
    {
      processes: [
        ...well.processes,
        process('web', { version: '2', startedAt: new Date(now - 7 * 3_600_000) }),
      ],
    },
    /2 versions run side by side/,
  ],
];

describe('the sentence of the page Now', () => {
  it('says that all is well when nothing is wrong', () => {
    expect(sentenceOf(well)).toMatchObject({ tone: 'good', headline: 'All is well.' });
  });

  it.each(cases)('%s: alone it is the sentence', (alert, facts, said) => {
    const fired = alarms.filter(({ check }) => check({ ...well, ...facts }) !== null);
    expect(fired.map((one) => one.alert)).toEqual([alert]);
    expect(sentenceOf({ ...well, ...facts }).headline).toMatch(said);
  });

  it('a process that has been gone for longer than an alert lasts, a deploy under way, and a long job that is used to it are no trouble', () => {
    const facts = {
      ...well,
      ...troubles({ running: [{ queue: 'jobs', seconds: 1_200 }] }),
      advice: [{ queue: 'jobs', meanSeconds: 90 } as QueueAdvice],
      processes: [
        ...well.processes,
        process('jobs', { state: 'gone', heartbeatAgeSeconds: 900 }),
        process('web', { version: '2', startedAt: new Date(now - 60_000) }),
      ],
    };
    expect(sentenceOf(facts).headline).toBe('All is well.');
  });

  it('the worst comes first, in the order of prometheus/alerts.yml, and the others below it', () => {
    const alerts = [
      ...readFileSync(new URL('../../prometheus/alerts.yml', import.meta.url), 'utf8').matchAll(
        /- alert: (\w+)/g,
      ),
    ].map(([, name]) => name!);
    const places = alarms.map(({ alert }) => alerts.indexOf(alert));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    const { headline, more } = sentenceOf({
      ...well,
      ...troubles({ deadLately: 1 }),
      queues: [queue('email', { state: 'parked' }), queue('jobs', { state: 'paused' })],
    });
    expect(headline).toBe('The queue email is parked.');
    expect(more.markup).toMatch(/1 message died in the last 15 minutes.<br \/>The queue jobs is paused/);
  });
});
