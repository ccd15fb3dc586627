// The arguments of an action: checked by its schema, and nothing in them that it does not know. A misspelt field is an error,
// not silence, also where the author wrote z.object and not z.strictObject; z.looseObject lets everything in.

import type { z } from 'zod';
import type { Action } from '../define/action.ts';
import { issuesOf, pathText, type Issue } from '../define/payload.ts';
import { nearest } from '../nearest.ts';
import { WaybillError } from '../outbox/errors.ts';

/** @throws WaybillError `invalid_arguments` with every issue and its path */
export async function parseArguments<A extends z.ZodType>(
  action: Pick<Action<A>, 'name' | 'args'>,
  given: unknown,
): Promise<z.output<A>> {
  const strange = unknownFields(action.args, given, []);
  const parsed = await action.args.safeParseAsync(given);
  if (parsed.success && strange.length === 0) return parsed.data;
  const unrecognised = (issue: Issue): boolean => issue.code === 'unrecognized_keys'; // told by `strange`, with a hint
  const wrong = parsed.success
    ? []
    : issuesOf(parsed.error).filter((issue) => strange.length === 0 || !unrecognised(issue));
  const issues = [...strange, ...wrong];
  const summary = issues
    .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
    .join('; ');
  throw new WaybillError(
    'invalid_arguments',
    `the arguments of ${action.name} are not right: ${summary}`,
    issues,
  );
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
  return Object.entries(value).flatMap(([key, inner]) => {
    const field = Object.hasOwn(def.shape, key) ? def.shape[key] : undefined;
    if (field) return unknownFields(field, inner, [...path, key]);
    if (loose) return [];
    const meant = nearest(key, known);
    const hint = meant ? `did you mean ${meant}?` : `the fields are ${known.join(', ')}`;
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
