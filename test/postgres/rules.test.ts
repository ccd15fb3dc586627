// What no row may hold that somebody wrote by hand: the trigger and the rules of sql/0001_messages.sql. What the engine itself writes is held against the
// same rules in every test with a database (test/support/global.ts).

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql('drop trigger outbox_strict on waybill.outbox_messages');
});
afterAll(() => database.end());

const claim = (until: string): string =>
  `claim_token = gen_random_uuid(), claimed_by = 'w', claimed_at = now(), claimed_until = ${until}`;
const illegal = [
  `kind = 'fax'`,
  `max_attempts = 0`,
  `attempts = -1`,
  `attempts = 6`,
  `expirations = -1`,
  `available_at = 'infinity'`,
  `created_at = '-infinity'`,
  `group_key = ''`,
  `group_key = repeat('g', 201)`,
  `order_key = E'a\\nb'`,
  `order_key = repeat('k', 201)`,
  `tags = '{}'`,
  `tags = array[null]::text[]`,
  `tags = array['a', '']`,
  `tags = array[E'a\\nb']`,
  `tags = array[repeat('t', 201)]`,
  `tags = array[['a'], ['b']]`,
  `tags = array(select 't' || n from generate_series(1, 21) n)`,
  `status = 'lost'`,
  `status = 'sending'`,
  `status = 'sending', ${claim('now()')}`,
  `status = 'sending', relayed_at = now(), ${claim("'infinity'")}`,
  `status = 'pending', claim_token = gen_random_uuid()`,
  `status = 'failed', claimed_by = 'w'`,
  `status = 'delivered'`,
  `delivered_at = now()`,
  `status = 'dead'`,
  `status = 'dead', cancelled_at = now()`,
  `status = 'cancelled', cancelled_at = now(), dead_at = now()`,
];

describe('a row that would break the rules of its states', () => {
  it.each(illegal)('is refused when it is changed: %s', async (change) => {
    const outbox = createPostgresOutbox(database.db);
    const { id } = await outbox.enqueue({
      kind: 'job',
      name: 'n',
      queue: 'jobs',
      payload: {},
      maxAttempts: 5,
    });
    await expect(
      database.db.executeSql(`update waybill.outbox_messages set ${change} where id = $1`, [id]),
    ).rejects.toMatchObject({ code: '23514', constraint: 'outbox_rules' });
  });

  it.each(illegal)('is refused when it is inserted, and not counted: %s', async (change) => {
    const given = new Map([
      ['id', 'gen_random_uuid()'],
      ...[`kind = 'job'`, `name = 'n'`, `queue = 'jobs'`, `payload = '{}'`, `max_attempts = 5`].map(pair),
      ...change.split(/, (?=\w+ = )/).map(pair),
    ]);
    const recorded = async (): Promise<unknown> =>
      (await database.db.executeSql('select coalesce(sum(recorded), 0) as n from waybill.outbox_audit')).rows;
    const before = await recorded();
    const columns = [...given.keys()].join(', ');
    await expect(
      database.db.executeSql(
        `insert into waybill.outbox_messages (${columns}) values (${[...given.values()].join(', ')})`,
      ),
    ).rejects.toMatchObject({ code: '23514', constraint: 'outbox_rules' });
    expect(await recorded()).toEqual(before);
  });
});

function pair(text: string): [string, string] {
  const [column = '', value = ''] = text.split(' = ');
  return [column, value];
}
