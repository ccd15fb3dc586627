// Cron jobs: the options that an author writes, their checks, and the job as the manifest stores it.

import type { z } from 'zod';
import { parseDuration, type Duration } from '../duration.ts';
import { databaseNameRule, isDatabaseName } from '../config/databases.ts';
import { nearest } from '../nearest.ts';
import { WaybillError } from '../errors.ts';
import { flowKeyRule, isFlowKey } from '../message/flow.ts';
import { isTags, tagsRule } from '../message/tags.ts';
import { checkMessage, isName, nameRule } from '../message/message.ts';
import type { Milliseconds } from '../ports.ts';
import type { Action } from './action.ts';
import { jobQueue } from './job.ts';
import { readSchedule } from './cron/schedule.ts';
import { unknownOptions } from '../options.ts';
import { zoneProblem } from './cron/zone.ts';

export const missedTickPolicies = ['latest', 'all'] as const;
export const overlaps = ['allow', 'skip'] as const;

/** A job as the manifest stores it: plain data with every default filled in. */
export type CronJob = {
  readonly name: string;
  readonly schedule: string;
  readonly timeZone: string;
  readonly action: string;
  readonly args: unknown;
  readonly missedTickPolicy: (typeof missedTickPolicies)[number];
  readonly maxCatchUpTicks: number;
  readonly maxCatchUpAgeMs: Milliseconds;
  readonly overlap: (typeof overlaps)[number];
  /** Absent without one, as are the order key and the tags: the hash of a manifest without them stays the same. */
  readonly group?: string;
  readonly orderKey?: string;
  readonly tags?: readonly string[];
  /** With several databases, not part of a manifest: it decides in whose manifest the job is. */
  readonly database?: string;
};

/** A job of `defineCron`: an action that runs on a schedule. */
export type CronJobOptions<A extends Action | string = Action | string> = {
  /** Unique in the application. */
  readonly name: string;
  /** Five fields: minute, hour, day of month, month, day of week. */
  readonly schedule: string;
  /** An action of the application, or its name. */
  readonly action: A;
  /** The action's arguments as JSON, as a caller would send them. */
  readonly args?: A extends Action<infer S> ? z.input<S> : unknown;
  /** A name of the IANA database, such as Europe/Berlin. Default UTC. */
  readonly timeZone?: string;
  /** Which missed ticks run: the newest (`latest`, the default) or `all`. */
  readonly missedTickPolicy?: (typeof missedTickPolicies)[number];
  /** With `all`: the most runs of one catch-up. 1 … 10,000, default 1,000. Older ticks are skipped and counted. */
  readonly maxCatchUpTicks?: number;
  /** With `all`: the greatest age of a tick that still runs. 1s … 365d, default 7d. */
  readonly maxCatchUpAge?: Duration;
  /** `skip`: a tick does not run while an earlier run of the job is in progress. Default `allow`. */
  readonly overlap?: (typeof overlaps)[number];
  /** The group of its messages. 1 … 200 characters, no control characters. */
  readonly group?: string;
  /** The order key of its messages. 1 … 200 characters, no control characters. */
  readonly orderKey?: string;
  /** The tags of its messages: at most 20, each of 1 … 200 characters, no control characters. */
  readonly tags?: readonly string[];
  /** A name of WAYBILL_DATABASES: the job runs in this database alone. Default: each tick runs once in every database. */
  readonly database?: string;
};

const known = [
  'name',
  'schedule',
  'action',
  'args',
  'timeZone',
  'missedTickPolicy',
  'maxCatchUpTicks',
  'maxCatchUpAge',
  'overlap',
  'group',
  'orderKey',
  'tags',
  'database',
];
const mostTicks = 10_000;

export type Problem = { readonly option: string; readonly message: string };
export type JobRead = { readonly problems: readonly Problem[]; readonly notice: string | null };

/** Finds every problem of a job. `notice` is a warning about a valid schedule. */
export function readJob(job: CronJobOptions): JobRead {
  if (typeof job !== 'object' || job === null)
    return { problems: [{ option: '', message: 'a job is an object of options' }], notice: null };
  const schedule = readSchedule(job.schedule);
  const zone = job.timeZone === undefined ? undefined : zoneProblem(job.timeZone);
  const checks: readonly (readonly [string, string | undefined])[] = [
    ...unknownOptions(job, known).map((message) => ['', message] as const),
    ['name', isName(job.name) ? undefined : `a name has ${nameRule}`],
    ['schedule', 'problem' in schedule ? schedule.problem : undefined],
    ['timeZone', zone],
    ['action', actionProblem(job.action)],
    ['args', jsonProblem(job.args)],
    ['missedTickPolicy', wordProblem(job.missedTickPolicy, missedTickPolicies)],
    ['overlap', wordProblem(job.overlap, overlaps)],
    ['group', flowKeyProblem(job.group)],
    ['orderKey', flowKeyProblem(job.orderKey)],
    ['tags', job.tags === undefined || isTags(job.tags) ? undefined : `are ${tagsRule}`],
    [
      'database',
      job.database === undefined || isDatabaseName(job.database)
        ? undefined
        : `must be a name of WAYBILL_DATABASES: ${databaseNameRule}`,
    ],
    ...boundProblems(job),
  ];
  return {
    problems: checks.flatMap(([option, message]) => (message === undefined ? [] : [{ option, message }])),
    notice: 'notice' in schedule ? schedule.notice : null,
  };
}

function actionProblem(action: unknown): string | undefined {
  const isAction = (action as Partial<Action> | null | undefined)?.kind === 'action';
  return isAction || isName(action) ? undefined : 'must be made by defineAction, or the name of an action';
}

/** Arguments become the payload of a message, so its checks apply when the job is defined. */
function jsonProblem(args: unknown): string | undefined {
  try {
    checkMessage({ kind: 'action', name: 'args', queue: jobQueue, payload: args ?? {} });
    return undefined;
  } catch (error) {
    if (error instanceof WaybillError) return error.message;
    throw error;
  }
}

function flowKeyProblem(key: unknown): string | undefined {
  return key === undefined || isFlowKey(key) ? undefined : `has ${flowKeyRule}`;
}

function wordProblem(given: unknown, words: readonly string[]): string | undefined {
  if (given === undefined || words.includes(given as string)) return undefined;
  const meant = typeof given === 'string' ? nearest(given, words) : undefined;
  return `must be ${words.join(' or ')}, not ${JSON.stringify(given)}${meant ? `; was ${meant} meant?` : ''}`;
}

function boundProblems({ missedTickPolicy, maxCatchUpTicks, maxCatchUpAge, overlap }: CronJobOptions) {
  const problems: (readonly [string, string | undefined])[] = [];
  const whole = Number.isInteger(maxCatchUpTicks) && maxCatchUpTicks! >= 1 && maxCatchUpTicks! <= mostTicks;
  if (maxCatchUpTicks !== undefined && !whole)
    problems.push(['maxCatchUpTicks', `must be a whole number from 1 to ${mostTicks}`]);
  if (maxCatchUpAge !== undefined && ageOf(maxCatchUpAge) === undefined)
    problems.push(['maxCatchUpAge', `must be a duration with its unit from 1s to 365d, such as '48h'`]);
  if (missedTickPolicy !== 'all' && (maxCatchUpTicks !== undefined || maxCatchUpAge !== undefined))
    problems.push([
      'missedTickPolicy',
      `must be 'all' for maxCatchUpTicks and maxCatchUpAge to mean anything`,
    ]);
  if (missedTickPolicy === 'all' && overlap === 'skip')
    problems.push([
      'overlap',
      `'skip' would skip all but the first of the ticks that missedTickPolicy 'all' runs: take one of the two`,
    ]);
  return problems;
}

function ageOf(age: Duration): Milliseconds | undefined {
  const ms = typeof age === 'number' ? age : typeof age === 'string' ? parseDuration(age) : undefined;
  return ms !== undefined && Number.isFinite(ms) && ms >= 1_000 && ms <= 365 * 86_400_000 ? ms : undefined;
}

/** For a valid job. Fills in every default, so that two manifests are equal if and only if their jobs do the same. */
export function toJob(options: CronJobOptions): CronJob {
  const { name, action, args = {}, group, orderKey, tags, database } = options;
  return Object.freeze({
    name,
    timeZone: options.timeZone ?? 'UTC',
    missedTickPolicy: options.missedTickPolicy ?? 'latest',
    maxCatchUpTicks: options.maxCatchUpTicks ?? 1_000,
    overlap: options.overlap ?? 'allow',
    schedule: options.schedule.trim(),
    action: typeof action === 'string' ? action : action.name,
    args: JSON.parse(JSON.stringify(args)) as unknown,
    maxCatchUpAgeMs: ageOf(options.maxCatchUpAge ?? '7d')!,
    ...(group !== undefined && { group }),
    ...(orderKey !== undefined && { orderKey }),
    ...(tags !== undefined && tags.length > 0 && { tags: [...tags] }),
    ...(database !== undefined && { database }),
  });
}
