// The message that a line of an export becomes: as it was, if the application has its definition and the payload fits.

import { decode } from '../define/payload.ts';
import type { Registry } from '../define/registry.ts';
import { prepareEmail } from '../email/email.ts';
import { WaybillError } from '../errors.ts';
import type { OnDead } from '../message/flow.ts';
import { isDeliveryKey, type NewMessage } from '../message/message.ts';
import { isSealed } from '../message/seal.ts';
import type { Event } from '../define/event.ts';
import { parsePayload } from './exact-json.ts';
import type { Exported, SourceJob } from './source.ts';

export type LineOptions = {
  readonly registry: Registry;
  readonly emailFrom: string | null;
  /** The delivery key of a message that had none. */
  readonly key: string;
};

/** @throws WaybillError `number_not_exact`, `payload_sealed`, `unknown_definition`, `payload_invalid`, and those of an email */
export async function lineMessage(
  job: SourceJob,
  exported: Exported,
  { registry, emailFrom, key }: LineOptions,
): Promise<NewMessage & { readonly deliveryKey: string }> {
  const { kind, name, queue, requestId, sensitive, keep } = exported;
  const { priority, group, orderKey, tags } = job;
  const payload = parsePayload(job.json);
  if (isSealed(payload))
    throw new WaybillError(
      'payload_sealed',
      'the payload is sealed to its message: export it with --open-sealed',
    );
  const known = await checked({ kind, name, payload }, registry, emailFrom);
  const onDead = orderKey === undefined ? undefined : (exported.onDead ?? known.onDead);
  const sealing = sensitive === true ? { sensitive, keep } : known.sealing;
  return {
    kind,
    name,
    queue,
    payload,
    requestId,
    priority,
    group,
    orderKey,
    tags,
    onDead,
    ...sealing,
    deliveryKey: isDeliveryKey(job.key) ? job.key : key,
    availableAt: new Date(job.dueAt),
    maxAttempts: Math.min(1_000, job.attemptsLeft),
  };
}

type Given = { readonly kind: NewMessage['kind']; readonly name: string; readonly payload: unknown };

/** What the definition says of each of its messages. */
type Known = {
  readonly onDead?: OnDead | undefined;
  readonly sealing: { readonly sensitive?: boolean; readonly keep?: boolean };
};

async function checked(given: Given, registry: Registry, emailFrom: string | null): Promise<Known> {
  const { kind, name } = given;
  if (kind === 'email') return checkedEmail(given.payload, emailFrom);
  const definition = definitionOf(kind, name, registry);
  if (definition === undefined)
    throw new WaybillError('unknown_definition', `the application has no ${kind} ${name}`);
  const payload = definition.isWebhook
    ? (given.payload as { readonly body?: unknown } | null)?.body
    : given.payload;
  await decode({ kind, name, payload: definition.payload }, payload);
  const { sensitive = false, keep = true, onDead } = definition;
  return { onDead, sealing: sensitive ? { sensitive, keep } : {} };
}

/** The date is that of the first due time, and is no field of an email for callers. */
function checkedEmail(payload: unknown, emailFrom: string | null): Known {
  const { date: _, ...email } = (payload ?? {}) as Readonly<Record<string, unknown>>;
  prepareEmail(email as Parameters<typeof prepareEmail>[0], { defaultFrom: emailFrom });
  return { sealing: {} };
}

type Definition = {
  readonly payload: Event['payload'];
  readonly onDead?: OnDead;
  readonly sensitive?: boolean;
  readonly keep?: boolean;
  /** Its messages are jobs, whose payload has the endpoint's id and the body. */
  readonly isWebhook?: boolean;
};

function definitionOf(kind: Given['kind'], name: string, registry: Registry): Definition | undefined {
  if (kind === 'event') return registry.event(name);
  if (kind === 'listener') {
    const listener = registry.listener(name);
    return listener && { ...listener, payload: listener.event.payload };
  }
  if (kind === 'action') {
    const action = registry.action(name);
    return action && { payload: action.args };
  }
  const endpoint = registry.endpoint(name);
  if (endpoint !== undefined) return { ...endpoint, onDead: 'skip', isWebhook: true };
  return registry.job(name);
}
