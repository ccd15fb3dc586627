// Finds what is wrong with an action's arguments: values that its schema refuses, and fields that it does not have.
// An unknown field is an error for z.object as for z.strictObject; z.looseObject accepts every field.

import { z } from 'zod';
import { nearest } from '../nearest.ts';
import { issuesOf, issueText, pathText, type Issue } from './payload.ts';

/** @param parsed the schema's result for `given` */
export function argumentIssues(
  schema: z.ZodType,
  given: unknown,
  parsed: z.ZodSafeParseResult<unknown>,
): Issue[] {
  const strange = unknownFields(schema, given, []);
  const wrong = parsed.success ? [] : issuesOf(parsed.error);
  if (strange.length === 0) return wrong;
  return [...strange, ...wrong.filter(({ code }) => code !== 'unrecognized_keys')]; // `strange` reports it, with a hint
}

/** Limits the answer: a body of 10,000 wrong elements would fill megabytes. */
export const mostIssues = 100;

/** `items[0].sku: too short; name: unknown field` */
export function issuesText(issues: readonly Issue[]): string {
  const told = issues.slice(0, mostIssues);
  const text = told.map(issueText).join('; ');
  return issues.length > told.length ? `${text}; and ${issues.length - told.length} more` : text;
}

/** The synchronous check for definitions. A schema with an asynchronous refinement is checked only when the action runs. */
export function argumentIssuesNow(schema: z.ZodType, given: unknown): Issue[] {
  try {
    return argumentIssues(schema, given, schema.safeParse(given));
  } catch (error) {
    if (error instanceof z.core.$ZodAsyncError) return [];
    throw error;
  }
}

function unknownFields(schema: z.core.$ZodType, value: unknown, path: readonly PropertyKey[]): Issue[] {
  const { def } = schema._zod as z.core.$ZodTypes['_zod'];
  switch (def.type) {
    case 'object':
      return isRecord(value) ? ofObject(def, value, path) : [];
    case 'array':
      return Array.isArray(value)
        ? value.flatMap((one, i) => unknownFields(def.element, one, [...path, i]))
        : [];
    case 'optional':
    case 'nullable':
    case 'nonoptional':
    case 'default':
    case 'prefault':
    case 'readonly':
    case 'catch':
      return unknownFields(def.innerType, value, path);
    case 'pipe':
      return unknownFields(def.in, value, path);
    default:
      return []; // the schema alone decides, as for unions
  }
}

function ofObject(
  def: z.core.$ZodObjectDef,
  value: Record<string, unknown>,
  path: readonly PropertyKey[],
): Issue[] {
  const loose = def.catchall !== undefined && def.catchall._zod.def.type !== 'never';
  const known = Object.keys(def.shape);
  const fields = `the fields are ${known.join(', ')}`.slice(0, 1_000);
  return Object.entries(value).flatMap(([key, inner]) => {
    const field = Object.hasOwn(def.shape, key) ? def.shape[key] : undefined;
    if (field) return unknownFields(field, inner, [...path, key]);
    if (loose) return [];
    const meant = nearest(key, known);
    const message = `unknown field; ${meant ? `did you mean ${meant}?` : fields}`;
    return [{ path: pathText([...path, key.slice(0, 80)]), message, code: 'unknown_field' }];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
