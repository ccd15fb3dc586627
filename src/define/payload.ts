// Payloads as JSON: the schema encodes them when they are recorded and decodes them when they are delivered.

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

/**
 * Decodes without a promise unless the schema is asynchronous. Most schemas are not.
 * The promise rejects with WaybillError `payload_invalid`; a retry cannot succeed.
 */
export function decode<S extends z.ZodType>(
  of: WithPayload<S>,
  json: unknown,
): z.output<S> | Promise<z.output<S>> {
  const result = of.payload._zod.run({ value: json, issues: [] }, { async: true }); // zod's safeParseAsync wraps this call in a promise
  if (result instanceof Promise)
    return result.then(({ issues, value }) =>
      issues.length === 0 ? (value as z.output<S>) : decodeInWords(of, json),
    );
  return result.issues.length === 0 ? (result.value as z.output<S>) : decodeInWords(of, json);
}

/** Parses an invalid payload again to get zod's error messages. */
async function decodeInWords<S extends z.ZodType>(of: WithPayload<S>, json: unknown): Promise<z.output<S>> {
  const result = await z.safeParseAsync(of.payload, json);
  if (result.success) return result.data;
  throw invalid(of, result.error);
}

function invalid({ kind, name }: WithPayload<z.ZodType>, error: z.core.$ZodError): WaybillError {
  const issues = issuesOf(error);
  const all = issues.map(issueText).join('; ');
  return new WaybillError(
    'payload_invalid',
    `the payload of the ${kind} ${name} does not fit its schema: ${all}`,
    issues,
  );
}

export type Issue = { readonly path: string; readonly message: string; readonly code?: string };

export function issueText({ path, message }: Issue): string {
  return path === '' ? message : `${path}: ${message}`;
}

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
