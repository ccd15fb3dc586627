// ctx.webhooks: webhooks are recorded as messages of the transaction, and their endpoints are steered in it.

import type { z } from 'zod';
import type { Executor } from '../db/executor.ts';
import { qualified } from '../db/qualified.ts';
import type { Scope } from '../db/scope.ts';
import type { ActionContext, Replayed, ReplayOptions, WebhookOptions, WebhookTo } from '../define/context.ts';
import {
  endpointGroup,
  webhookMessages,
  webhookName,
  webhookOptions,
  webhookQueue,
} from '../define/messages.ts';
import type { Registry } from '../define/registry.ts';
import { WaybillError } from '../errors.ts';
import { readMark, replayStep, type Replay } from '../operate/replay.ts';
import { placeOf } from '../outbox/notify.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { resumeOneSql } from '../queues/circuit.ts';
import { checkOptions } from '../options.ts';
import type { Enqueue } from './email.ts';

type Parts = {
  readonly scope: Scope;
  readonly registry: Registry | undefined;
  /** The handler's title in errors. */
  readonly caller: string;
  /** The action may run twice. */
  readonly keysRequired: boolean | undefined;
  /** Throws when the handler has ended. */
  readonly check: () => void;
  readonly enqueue: Enqueue;
  readonly onRecorded: (places: readonly string[]) => void;
};

const targetOf = (to: unknown) => ({
  name: webhookName(endpointGroup(to).endpoint.name),
  queue: webhookQueue,
});

/** ms since 1970 of the last day that Postgres takes as ISO 8601 writes it. */
const latest = Date.UTC(9999, 11, 31);

/** @throws WaybillError `invalid_time`, `options_invalid` */
function replayOf(options: ReplayOptions) {
  checkOptions('webhooks.replay', options, ['since', 'until', 'all', 'newIds', 'from']);
  const { since, until, all = false, newIds = false, from } = options;
  if (from !== undefined) readMark(from);
  for (const [name, time] of Object.entries({ since, until: until ?? since }))
    if (!(time instanceof Date) || !(Math.abs(time.getTime()) <= latest))
      throw new WaybillError(
        'invalid_time',
        `webhooks.replay: ${name} must be a valid Date, up to the year 9999`,
      );
  for (const [name, given] of Object.entries({ all, newIds }))
    if (typeof given !== 'boolean')
      throw new WaybillError('options_invalid', `webhooks.replay: ${name} must be true or false`);
  return { since, until, all, newIds, from };
}

/** Copies of a replay have no delivery key, so an action that runs twice would record them twice. @throws WaybillError `options_invalid` */
function checkRepeatable({ caller, keysRequired }: Parts, { all }: Pick<Replay, 'all'>): void {
  if (all && keysRequired)
    throw new WaybillError(
      'options_invalid',
      `${caller} is safeToRetry, so a replay in it could record delivered webhooks twice: leave \`all\` out, or replay in a job`,
    );
}

async function replayIn({ scope, enqueue, onRecorded }: Parts, replay: Replay): Promise<Replayed> {
  const db: Executor = {
    executeSql: (sql, values) => scope.run((tx) => tx.executeSql(qualified(sql), values)),
  };
  const done = await replayStep(db, { enqueue: enqueue as OutboxPort['enqueue'] }, replay);
  if (done.retried + done.hastened > 0) onRecorded([placeOf(replay)]);
  return done;
}

export function webhooksOf(parts: Parts): ActionContext['webhooks'] {
  const { scope, registry, check, enqueue } = parts;
  /** @throws WaybillError `endpoint_invalid`, `unknown_endpoint` */
  function groupOf(to: unknown): string {
    const { endpoint, group } = endpointGroup(to);
    const { name } = endpoint;
    if (registry && (registry.endpoint(webhookName(name)) as unknown) !== endpoint)
      throw new WaybillError(
        'unknown_endpoint',
        `the application has no endpoint ${name}: add it to endpoints in defineApp`,
      );
    return group;
  }

  async function sendMany<S extends z.ZodType>(
    to: WebhookTo<S>,
    all: readonly (WebhookOptions & { readonly payload: z.output<S> })[],
  ) {
    groupOf(to);
    return enqueue(await webhookMessages(to, all));
  }

  return {
    sendMany: (to, all) => scope.hold(() => sendMany(to, all)),
    send: (to, payload, options = {}) =>
      scope.hold(async () => {
        checkOptions('webhooks.send', options, webhookOptions);
        return (await sendMany(to, [{ ...options, payload }]))[0]!;
      }),
    resume: (to) =>
      scope.hold(async () => {
        const group = groupOf(to);
        check();
        const { rows } = await scope.run((tx) =>
          tx.executeSql(qualified(resumeOneSql), [webhookQueue, group]),
        );
        return rows.length > 0;
      }),
    replay: (to, options) =>
      scope.hold(async () => {
        const asked = replayOf(options);
        checkRepeatable(parts, asked);
        const replay = { ...asked, ...targetOf(to), group: groupOf(to) };
        check();
        return replayIn(parts, replay);
      }),
  };
}
