// A session: an executor on one connection that nobody else uses. What it is asked again it has prepared, so only for few texts. Not behind a
// transaction pooler, which gives each statement whatever connection is free: a connection that heard a notification is a session.

import type pg from 'pg';
import { toExecutor, type Executor } from './executor.ts';

export function sessionOn(client: pg.Client): Executor {
  const names = new Map<string, string>();
  let named = 0;
  return toExecutor({
    async query(text, values = []) {
      const name = names.get(text) ?? `waybill_${++named}`;
      names.set(text, name);
      try {
        return await client.query({ name, text, values });
      } catch (error) {
        names.delete(text); // prepared anew: what it stands on may have been changed by a migration
        throw error;
      }
    },
  });
}
