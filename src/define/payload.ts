// A payload on its way through JSON: encoded by its schema when it is recorded, decoded when it is delivered.

import { z } from 'zod';
import { WaybillError } from '../errors.ts';

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
  return decode(of, json);
}

/**
 * The same, at once where the schema asks for nothing that takes time: most do not, and then a message costs no promise.
 * The promise rejects with WaybillError `payload_invalid`.
 */
export function decode<S extends z.ZodType>(
  of: WithPayload<S>,
  json: unknown,
): z.output<S> | Promise<z.output<S>> {
  const result = of.payload._zod.run({ value: json, issues: [] }, { async: true }); // what zod's safeParseAsync is a promise around
  if (result instanceof Promise)
    return result.then(({ issues, value }) =>
      issues.length === 0 ? (value as z.output<S>) : decodeInWords(of, json),
    );
  return result.issues.length === 0 ? (result.value as z.output<S>) : decodeInWords(of, json);
}

/** What does not fit is looked at once more, for zod's words for it. */
async function decodeInWords<S extends z.ZodType>(of: WithPayload<S>, json: unknown): Promise<z.output<S>> {
  const result = await z.safeParseAsync(of.payload, json);
  if (result.success) return result.data;
  throw invalid(of, result.error);
}

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
