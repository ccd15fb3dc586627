// What goes into an action and what comes out of it, as JSON on the outside.

import { z } from 'zod';
import { WaybillError } from '../outbox/errors.ts';
import type { Action } from './action.ts';
import { issuesOf } from './payload.ts';

/** @throws WaybillError `invalid_arguments` with the paths that are wrong */
export async function decodeArgs(action: Action, given: unknown): Promise<unknown> {
  const args = await z.safeParseAsync(action.args, given);
  if (args.success) return args.data;
  throw new WaybillError('invalid_arguments', `the arguments of ${action.name} are not right`, issuesOf(args.error));
}

/** The result as JSON carries it. A result that breaks the action's own promise is an error of the action, and rolls it back. */
export async function encodeResult(action: Action, result: unknown): Promise<unknown> {
  if (!action.result) return result;
  const encoded = await z.safeEncodeAsync(action.result, result);
  if (encoded.success) return encoded.data;
  throw new Error(`the result of the action ${action.name} does not fit its schema: ${z.prettifyError(encoded.error)}`);
}
