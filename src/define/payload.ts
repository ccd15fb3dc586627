// A payload on its way through JSON: encoded by its schema when it is recorded, decoded when it is delivered.

import { z } from 'zod';
import { WaybillError } from '../outbox/errors.ts';

type WithPayload<S extends z.ZodType> = { readonly kind: string; readonly name: string; readonly payload: S };

/** @throws WaybillError `payload_invalid` */
export async function encodePayload<S extends z.ZodType>(
  of: WithPayload<S>,
  value: z.output<S>,
): Promise<unknown> {
  const result = await z.safeEncodeAsync(of.payload, value);
  if (result.success) return result.data;
  throw invalid(of, result.error);
}

/** @throws WaybillError `payload_invalid`: no retry can mend it */
export async function decodePayload<S extends z.ZodType>(
  of: WithPayload<S>,
  json: unknown,
): Promise<z.output<S>> {
  return decoded(of, await decode(of, json));
}

/** The two halves of `decodePayload`, for whoever awaits anyway: a promise less for each message. */
export function decode<S extends z.ZodType>(of: WithPayload<S>, json: unknown): Promise<Decoded<S>> {
  return z.safeParseAsync(of.payload, json); // decodes: zod's safeDecodeAsync is a promise around this one
}

/** @throws WaybillError `payload_invalid`: no retry can mend it */
export function decoded<S extends z.ZodType>(of: WithPayload<S>, result: Decoded<S>): z.output<S> {
  if (result.success) return result.data;
  throw invalid(of, result.error);
}

type Decoded<S extends z.ZodType> = z.ZodSafeParseResult<z.output<S>>;

function invalid({ kind, name }: WithPayload<z.ZodType>, error: z.core.$ZodError): WaybillError {
  const issues = issuesOf(error);
  const first = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  return new WaybillError(
    'payload_invalid',
    `the payload of the ${kind} ${name} does not fit its schema: ${first}`,
    issues,
  );
}

export type Issue = { readonly path: string; readonly message: string; readonly code?: string };

export function issuesOf(error: z.core.$ZodError): Issue[] {
  return error.issues.map(({ path, message, code }) => ({ path: pathText(path), message, code }));
}

/** `['items', 0, 'sku']` → `items[0].sku` */
export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}
