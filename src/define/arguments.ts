// What is wrong with the arguments of an action: what its schema does not take, and fields that it does not know. A misspelt field is an
// error, not silence, also where the author wrote z.object and not z.strictObject; z.looseObject lets everything in.

import { z } from 'zod';
import { nearest } from '../nearest.ts';
import { issuesOf, pathText, type Issue } from './payload.ts';

/** @param parsed the schema's own answer to the same arguments */
export function argumentIssues(
  schema: z.ZodType,
  given: unknown,
  parsed: z.ZodSafeParseResult<unknown>,
): Issue[] {
  const strange = unknownFields(schema, given, []);
  const unrecognised = (issue: Issue): boolean => issue.code === 'unrecognized_keys'; // told by `strange`, with a hint
  const wrong = parsed.success
    ? []
    : issuesOf(parsed.error).filter((issue) => strange.length === 0 || !unrecognised(issue));
  return [...strange, ...wrong];
}

/** So many are told: a body of 10,000 wrong elements gets no answer of megabytes. */
export const mostIssues = 100;

/** `items[0].sku: too short; name: unknown field` */
export function issuesText(issues: readonly Issue[]): string {
  const told = issues.slice(0, mostIssues);
  const text = told.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  return issues.length > told.length ? `${text}; and ${issues.length - told.length} more` : text;
}

/** Without waiting, for definitions. A schema that must wait (an asynchronous refinement) is asked when the action runs: no issue. */
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
      return []; // unions and the like decide by themselves
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
    const hint = meant ? `did you mean ${meant}?` : fields;
    return [
      {
        path: pathText([...path, key.slice(0, 80)]),
        message: `unknown field; ${hint}`,
        code: 'unknown_field',
      },
    ];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
