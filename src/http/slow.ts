// A statement of the admin API that reached its time limit, or got no lock: what a person does about it depends on whether it read or changed.

import { isSlow, slowAct } from '../db/diagnosis.ts';
import { WaybillError } from '../errors.ts';

/** Each statement of a reading route may take this long. */
export const readingMs = 2_000;

const slowRead = `the database took longer than ${readingMs / 1_000} s: narrow the search (since, to, tag), or look in pg_stat_activity for a transaction that holds a lock`;

/** @returns the error itself when it is about something else */
export function toldSlow(error: unknown, method: string): unknown {
  if (!isSlow(error)) return error;
  const text = method === 'GET' || method === 'HEAD' ? slowRead : slowAct;
  return new WaybillError('database_slow', text, [], { cause: error });
}
