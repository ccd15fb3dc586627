// Parses the arguments of an action with its schema and refuses unknown fields.

import type { z } from 'zod';
import type { Action } from '../define/action.ts';
import { argumentIssues, issuesText, mostIssues } from '../define/arguments.ts';
import { WaybillError } from '../errors.ts';

/** @throws WaybillError `invalid_arguments` with every issue and its path */
export async function parseArguments<A extends z.ZodType>(
  action: Pick<Action<A>, 'name' | 'args'>,
  given: unknown,
): Promise<z.output<A>> {
  const parsed = await action.args.safeParseAsync(given);
  const issues = argumentIssues(action.args, given, parsed);
  if (parsed.success && issues.length === 0) return parsed.data;
  throw new WaybillError(
    'invalid_arguments',
    `the arguments of ${action.name} are not right: ${issuesText(issues)}`,
    issues.slice(0, mostIssues),
  );
}
