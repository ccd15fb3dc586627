// Cron definitions: which actions run on a schedule. Errors of defineCron name the file, the job and the expression.
// Checks against the other definitions run in defineApp.

import { nearest } from '../nearest.ts';
import { WaybillError } from '../errors.ts';
import { isName } from '../message/message.ts';
import type { Action } from './action.ts';
import { argumentIssuesNow, issuesText } from './arguments.ts';
import { callingFile } from './caller.ts';
import { readJob, toJob, type CronJob, type CronJobOptions, type Problem } from './cron-job.ts';
import { checkOptions } from './shape.ts';

/** Cron jobs as `defineCron` makes them. */
export type Cron = {
  readonly kind: 'cron';
  readonly jobs: readonly CronJob[];
  /** Actions passed as objects, by job name. */
  readonly actions: ReadonlyMap<string, Action>;
  /** Warnings about valid schedules. */
  readonly notices: readonly string[];
  /** The file that called defineCron; null when the stack does not show it. */
  readonly file: string | null;
};

/**
 * Defines the cron jobs of an application.
 * @throws WaybillError `cron_invalid` with every problem as an issue
 */
export function defineCron<const A extends readonly (Action | string)[]>(options: {
  readonly jobs: { readonly [K in keyof A]: CronJobOptions<A[K]> };
}): Cron {
  const file = callingFile();
  const where = file === null ? 'cron' : `cron in ${file}`;
  checkOptions(where, options, ['jobs']);
  const given = (Array.isArray(options.jobs) ? options.jobs : [options.jobs]) as readonly CronJobOptions[];
  const read = given.map(readJob);
  const issues = read.flatMap(({ problems }, i) => problems.map((problem) => issueOf(given[i], i, problem)));
  issues.push(...doubles(given));
  if (issues.length > 0) {
    const lines = issues.map(({ message }) => `  ${message}`);
    throw new WaybillError('cron_invalid', `${where} is not right:\n${lines.join('\n')}`, issues);
  }
  return Object.freeze({
    kind: 'cron',
    jobs: Object.freeze(given.map(toJob)),
    actions: new Map(
      given.flatMap(({ name, action }) => (typeof action === 'string' ? [] : [[name, action]])),
    ),
    notices: Object.freeze(
      read.flatMap(({ notice }, i) => (notice === null ? [] : [`${label(given[i], i)}: ${notice}`])),
    ),
    file,
  });
}

function doubles(jobs: readonly CronJobOptions[]) {
  const names = jobs.map((job) => job?.name);
  return jobs.flatMap((job, i) =>
    names.indexOf(job?.name) < i && isName(job?.name)
      ? [{ path: `jobs[${i}].name`, message: `job ${job.name} is there twice` }]
      : [],
  );
}

function label(job: CronJobOptions | undefined, index: number): string {
  const name = isName(job?.name)
    ? `job ${job.name}`
    : `job ${index + 1} (${JSON.stringify(job?.name)?.slice(0, 60)})`;
  const schedule: unknown = job?.schedule;
  return typeof schedule === 'string' ? `${name}, ${JSON.stringify(schedule.slice(0, 110))}` : name;
}

function issueOf(job: CronJobOptions | undefined, index: number, { option, message }: Problem) {
  const path = `jobs[${index}]${option === '' ? '' : `.${option}`}`;
  return { path, message: `${label(job, index)}: ${option === '' ? '' : `${option}: `}${message}` };
}

/** Problems across the application: unknown actions, arguments that an action refuses, and duplicate names. */
export function cronProblems(crons: readonly Cron[], actions: readonly Action[]): string[] {
  const wrong = crons.filter((cron) => cron?.kind !== 'cron').map(() => 'cron is not made by defineCron');
  const all = crons.flatMap((cron) => (cron?.kind === 'cron' ? cron.jobs.map((job) => ({ cron, job })) : []));
  const seen = new Set<string>();
  return [
    ...wrong,
    ...all.flatMap(({ cron, job }) => {
      const what = `cron job ${job.name}${cron.file === null ? '' : ` in ${cron.file}`}, ${JSON.stringify(job.schedule)}`;
      const double = seen.has(job.name) ? [`${what}: the name is there twice`] : [];
      seen.add(job.name);
      return [...double, ...actionProblems(cron, job, actions).map((problem) => `${what}: ${problem}`)];
    }),
  ];
}

function actionProblems(cron: Cron, job: CronJob, actions: readonly Action[]): string[] {
  const action = actions.find((one) => one?.name === job.action);
  const given = cron.actions.get(job.name);
  if (action === undefined || (given !== undefined && given !== action)) {
    const names = actions.map((one) => one?.name ?? '');
    const meant = nearest(job.action, names);
    const hint = meant && meant !== job.action ? `; was ${meant} meant?` : '';
    return [`unknown action ${job.action}: it is not among the actions${hint}`];
  }
  const issues = argumentIssuesNow(action.args, job.args);
  return issues.length === 0 ? [] : [`args do not match the action ${job.action}: ${issuesText(issues)}`];
}
