// The application: all definitions together. Duplicates, dead references and malformed names are all reported when it is defined.
// So they fail a build, not a worker in production.

import { isName, isQueueName, nameRule } from '../message/message.ts';
import type { EmailProvider } from '../email/provider.ts';
import { WaybillError } from '../errors.ts';
import type { Action } from './action.ts';
import type { Endpoint } from './endpoint.ts';
import type { CronJob } from './cron-job.ts';
import { cronProblems, type Cron } from './cron.ts';
import type { Event } from './event.ts';
import type { Job } from './job.ts';
import type { Listener } from './listener.ts';
import { emailRetry, retryPolicy, type RetryPolicy, type RetryOptions } from './retry.ts';
import type { Hooks } from './hooks.ts';
import type { Queue } from './queue.ts';
import { queueProblems } from './queue-problems.ts';
import { checkOptions } from './shape.ts';

/** What `defineApp` takes: all definitions, and hooks. */
export type AppOptions = Hooks & {
  readonly actions?: readonly Action[];
  readonly events?: readonly Event[];
  readonly listeners?: readonly Listener[];
  readonly jobs?: readonly Job[];
  readonly endpoints?: readonly Endpoint[];
  readonly queues?: readonly Queue[];
  readonly cron?: Cron | readonly Cron[];
  /** Settings for all emails. */
  readonly email?: {
    /** How often an email is attempted. Default: 53 attempts with delays from 1 min to 1 h, about a day. */
    readonly retry?: RetryOptions;
    /** The application's own provider, used when WAYBILL_EMAIL_PROVIDER is not set. */
    readonly provider?: EmailProvider;
  };
};

/** An application as `defineApp` makes it: checked, and frozen. */
export type App = Hooks & {
  readonly kind: 'app';
  readonly actions: readonly Action[];
  readonly events: readonly Event[];
  readonly listeners: readonly Listener[];
  readonly jobs: readonly Job[];
  readonly endpoints: readonly Endpoint[];
  readonly queues: readonly Queue[];
  readonly cron: { readonly jobs: readonly CronJob[]; readonly notices: readonly string[] };
  readonly email: { readonly retry: RetryPolicy; readonly provider?: EmailProvider };
};

export function isApp(value: unknown): value is App {
  const { kind } = (value ?? {}) as { kind?: unknown };
  return kind === 'app' && Object.isFrozen(value);
}

const optionNames = [
  'actions',
  'events',
  'listeners',
  'jobs',
  'endpoints',
  'queues',
  'cron',
  'email',
  'console',
  'authenticate',
  'databaseOf',
  'setup',
  'teardown',
];

/**
 * Combines all definitions into an application.
 * @throws WaybillError `app_invalid` with every problem as an issue
 */
export function defineApp(options: AppOptions): App {
  checkOptions('application', options, optionNames);
  const { actions = [], events = [], listeners = [], jobs = [], queues = [] } = options;
  const { endpoints = [], cron = [], email = {}, console } = options;
  const crons = [cron].flat();
  checkOptions('application: email', email, ['retry', 'provider']);
  if (console) checkOptions('application: console', console, ['authenticate']);
  const lists = { actions, events, listeners, jobs, endpoints };
  const problems = [
    ...wrongKinds(lists),
    ...nameProblems(lists),
    ...queueProblems(queues, lists),
    ...routeDoubles(actions),
    ...deadReferences(lists),
    ...cronProblems(crons, actions),
    ...providerProblems(email.provider),
  ];
  if (problems.length > 0) {
    const issues = problems.map((message) => ({ path: '', message }));
    throw new WaybillError(
      'app_invalid',
      `the application is not right:\n${problems.map((p) => `  ${p}`).join('\n')}`,
      issues,
    );
  }
  const retry = retryPolicy('application: email', email.retry, emailRetry);
  return Object.freeze({
    kind: 'app',
    actions: Object.freeze([...actions]),
    events: Object.freeze([...events]),
    listeners: Object.freeze([...listeners]),
    jobs: Object.freeze([...jobs]),
    endpoints: Object.freeze([...endpoints]),
    queues: Object.freeze([...queues]),
    cron: Object.freeze({
      jobs: Object.freeze(crons.flatMap((one) => one.jobs)),
      notices: Object.freeze(crons.flatMap((one) => one.notices)),
    }),
    email: Object.freeze({ retry, ...(email.provider && { provider: email.provider }) }),
    ...hooksOf(options),
  });
}

function hooksOf({ console, authenticate, databaseOf, setup, teardown }: Hooks): Hooks {
  return {
    ...(console && { console }),
    ...(authenticate && { authenticate }),
    ...(databaseOf && { databaseOf }),
    ...(setup && { setup }),
    ...(teardown && { teardown }),
  };
}

function providerProblems(provider: EmailProvider | undefined): string[] {
  if (provider === undefined) return [];
  const { name, idempotent, send } = provider as Partial<EmailProvider>;
  const right = typeof name === 'string' && /^[a-z][a-z0-9_-]{0,39}$/.test(name);
  return [
    ...(right ? [] : ["email.provider.name must have 1 to 40 lower-case letters, digits, '_' or '-'"]),
    ...(typeof idempotent === 'boolean' ? [] : ['email.provider.idempotent must be true or false']),
    ...(typeof send === 'function' ? [] : ['email.provider.send must be a function']),
  ];
}

type Lists = Pick<App, 'actions' | 'events' | 'listeners' | 'jobs' | 'endpoints'>;

function wrongKinds({ actions, events, listeners, jobs, endpoints }: Lists): string[] {
  const check = (list: readonly { kind?: string; name?: string }[], kind: string): string[] =>
    list.flatMap((one, i) => {
      if (one?.kind === kind) return [];
      const given = one?.kind ? `the ${one.kind} ${one.name}` : 'not made by a define function';
      return [`${kind}s[${i}] is ${given}`];
    });
  return [
    ...check(actions, 'action'),
    ...check(events, 'event'),
    ...check(listeners, 'listener'),
    ...check(jobs, 'job'),
    ...check(endpoints, 'endpoint'),
  ];
}

function nameProblems(lists: Lists): string[] {
  const malformed = Object.values(lists)
    .flat()
    .flatMap((one) =>
      one && !isName(one.name) ? [`${one.kind} ${JSON.stringify(one.name)}: a name has ${nameRule}`] : [],
    );
  const queues = [...lists.listeners, ...lists.jobs]
    .filter((one) => one && !isQueueName(one.queue))
    .map(
      ({ kind, name, queue }) =>
        `${kind} ${name}: the queue ${JSON.stringify(queue)} must have 1 to 100 letters, digits, '.', '_' or '-'`,
    );
  const doubles = Object.values(lists).flatMap((list) =>
    repeated(list.map((one) => one?.name)).map((name) => `${list[0]?.kind} ${name} is there twice`),
  );
  return [...malformed, ...queues, ...doubles];
}

/** Paths that the web process serves itself. */
const reserved =
  /^\/(actions|admin|console|cron|livez|readyz|healthz|metrics|inbox|webhooks|openapi\.json)(\/|$)/;

/** `/orders/:id` and `/orders/:orderId` are the same route. */
function routeDoubles(actions: readonly Action[]): string[] {
  const routes = actions.flatMap((a) =>
    a?.http ? [`${a.http.method} ${a.http.path.replaceAll(/:[^/]+/g, ':_')}`] : [],
  );
  const taken = actions.filter((a) => a?.http && reserved.test(a.http.path));
  return [
    ...repeated(routes).map((route) => `the route ${route} is there twice`),
    ...taken.map((a) => `action ${a.name}: the path ${a.http?.path} is one of Waybill's own`),
  ];
}

function deadReferences({ actions, events, listeners }: Lists): string[] {
  const missing = (event: Event): boolean => !events.includes(event);
  const emitted = actions.flatMap((a) =>
    (a?.emits ?? [])
      .filter(missing)
      .map((e) => `action ${a.name} emits ${e.name}, which is not among the events`),
  );
  const heard = listeners.filter((l) => l?.event && missing(l.event));
  return [
    ...emitted,
    ...heard.map((l) => `listener ${l.name} listens to ${l.event.name}, which is not among the events`),
  ];
}

function repeated(values: readonly (string | undefined)[]): string[] {
  const known = values.filter((value) => value !== undefined);
  return [...new Set(known.filter((value, i) => known.indexOf(value) !== i))];
}
