// GET /admin/audit: what people did, newest first.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import { acts, listActs, parseAuditFilter } from '../operate/audit.ts';
import type { Executor } from '../db/executor.ts';
import { oneOrMore } from './filters.ts';

const texts = z.union([z.string(), z.array(z.string())]).optional();
const query = z.strictObject({
  act: oneOrMore(acts),
  by: texts,
  target: texts,
  since: texts,
  until: texts,
  limit: texts,
  cursor: texts,
});

export function addAudit(admin: FastifyInstance, db: Executor): void {
  admin.get('/audit', { config: { about: 'What people did, newest first', query } }, async (request) =>
    listActs(
      db,
      parseAuditFilter(
        await parseArguments({ name: 'audit', args: query }, { ...(request.query as object) }),
      ),
    ),
  );
}
