// Checks a payload that a person wrote against the schema of its definition.

import { webhookPayload } from '../message/webhook.ts';
import type { Endpoint } from './endpoint.ts';
import { decode } from './payload.ts';
import type { Registry } from './registry.ts';

/**
 * Resolves when the payload, as JSON, can be delivered; also for a definition that the application does not have.
 * @throws WaybillError `payload_invalid` with the path of what is wrong
 */
export async function checkPayload(
  registry: Pick<Registry, 'job' | 'endpoint' | 'event' | 'listener'>,
  { kind, name }: { readonly kind: string; readonly name: string },
  payload: unknown,
): Promise<void> {
  const definition =
    kind === 'job'
      ? (registry.job(name) ?? webhookOf(registry.endpoint(name)))
      : kind === 'event'
        ? registry.event(name)
        : kind === 'listener'
          ? registry.listener(name)?.event
          : undefined;
  if (definition !== undefined) await decode({ kind, name, payload: definition.payload }, payload);
}

const webhookOf = (endpoint: Endpoint | undefined) =>
  endpoint && { payload: webhookPayload(endpoint.payload) };
