// Why a message is dead, from the end of its attempt to the lists: real Postgres and the fleet's own parts; the deliveries are the test's.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { failureOf } from '../../src/delivery/failure.ts';
import { EmailError } from '../../src/email/error.ts';
import { deadCauses as counted } from '../../src/metrics/initial.ts';
import { defaultBackoff } from '../../src/message/backoff.ts';
import { parseFilter } from '../../src/operate/filter.ts';
import { retryMessage } from '../../src/operate/operate.ts';
import { deadCauses, type Failure } from '../../src/message/outcome.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { killExhausted } from '../../src/outbox/expire.ts';
import { listMessages, showMessage } from '../../src/operate/read.ts';
import { settle } from '../../src/message/transitions.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

const message = { kind: 'email', name: 'email', queue: 'email', payload: {}, maxAttempts: 2 } as const;
const refusal = (said: string, command: string): Failure =>
  failureOf(
    new EmailError(said, {
      provider: 'smtp',
      phase: 'answered',
      responseCode: Number(said.slice(0, 3)),
      command,
    }),
  );

/** Delivers it until it is dead. */
async function die(failure: Failure): Promise<string> {
  const outbox = createPostgresOutbox(database.db);
  const { id } = await outbox.enqueue(message);
  for (let attempt = 1; attempt <= 2; attempt++) {
    const [claimed] = await outbox.claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [id] });
    const [settled] = await outbox.settle([
      settle(claimed!, { type: 'failure', failure }, defaultBackoff, () => 0),
    ]);
    if (settled!.status === 'dead') return id;
  }
  throw new Error('it is not dead');
}
const causeOf = async (id: string) => (await showMessage(database.db, id)).cause;

it.each<[string, string, Failure]>([
  ['an unknown recipient', 'recipient', refusal('550 5.1.1 no such user', 'RCPT TO')],
  ['a full mailbox', 'recipient', refusal('552 5.2.2 over quota', 'RCPT TO')],
  ['spam', 'permanent', refusal('554 5.7.1 looks like spam', 'DATA')],
  ['a handler that gives up', 'permanent', { type: 'permanent', message: 'no' }],
  ['attempts that are used up', 'exhausted', { type: 'transient', message: 'busy' }],
])('%s: %s, until somebody tries it again', async (_, cause, failure) => {
  const id = await die(failure);
  expect(await causeOf(id)).toBe(cause);
  const listed = await listMessages(database.db, parseFilter({ cause }));
  expect(listed.messages.map((one) => one.id)).toContain(id);
  expect(new Set(listed.messages.map((one) => one.cause))).toEqual(new Set([cause]));
  expect((await retryMessage(database.db, id)).cause).toBeNull();
});

it('a worker that died in the last attempt: expired; a row that waits without one: exhausted', async () => {
  const outbox = createPostgresOutbox(database.db);
  const [one, other] = await outbox.enqueue([{ ...message, maxAttempts: 1 }, message]);
  await outbox.claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [one!.id] });
  await database.db.executeSql(
    `update waybill.outbox_messages set claimed_until = now() - interval '1 s' where id = $1`,
    [one!.id],
  );
  expect(await outbox.expire(10)).toMatchObject([{ id: one!.id, status: 'dead', cause: 'expired' }]);
  expect(await causeOf(one!.id)).toBe('expired');
  await database.db.executeSql(`update waybill.outbox_messages set attempts = max_attempts where id = $1`, [
    other!.id,
  ]);
  expect(await killExhausted(database.db, [other!.id])).toMatchObject([
    { id: other!.id, cause: 'exhausted' },
  ]);
});

it('the metrics count the same causes', () => {
  expect(counted).toEqual([...deadCauses, 'ended']);
});

it('a cause that there is none of is refused, with the nearest', () => {
  expect(() => parseFilter({ cause: 'recipent' })).toThrow(
    expect.objectContaining({ code: 'invalid_cause', message: expect.stringContaining('recipient') }),
  );
});
