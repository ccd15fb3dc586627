import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCronSweep } from '../../src/cron/sweep.ts';
import type { Executor } from '../../src/db/executor.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import { decide } from '../../src/scale/decisions.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

// What loops ask of the database when there is nothing to do.

let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.end());

function counting(db: Executor): { readonly db: Executor; readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    db: {
      executeSql(text, values) {
        asked.push(text);
        return db.executeSql(text, values);
      },
    },
  };
}

describe('when nothing happens', () => {
  it('the sweep of cron asks one statement a round', async () => {
    const { db, asked } = counting(database.db);
    const events = createEvents(
      createLog({ level: 'silent', role: 'test' }),
      createMetrics({ version: '0' }),
    );
    const sweep = createCronSweep({ db, events, observe: () => undefined, retentionMs: 86_400_000 });
    for (let round = 1; round <= 3; round++) {
      await sweep();
      expect(asked).toHaveLength(round);
    }
  });

  it('the advice takes two statements for the process whose turn it is, one for each other, and no transaction', async () => {
    const size = { slots: 25, connections: 19 };
    const first = counting(database.db);
    expect(await decide(first.db, size)).toBe(true);
    expect(first.asked).toHaveLength(2);
    const second = counting(database.db);
    expect(await decide(second.db, size)).toBe(false);
    expect(second.asked).toHaveLength(1);
  });

  it('a decision that comes after the next turn was given changes nothing', async () => {
    const { db } = database;
    await db.executeSql(`update waybill.autoscale_turn set at = to_timestamp(0)`);
    await db.executeSql(`insert into waybill.queues (name) values ('late') on conflict do nothing`);
    const late: Executor = {
      async executeSql(text, values) {
        if (text.includes('insert into waybill.autoscale '))
          await db.executeSql('update waybill.autoscale_turn set at = clock_timestamp()'); // another process has it now
        return db.executeSql(text, values);
      },
    };
    await decide(late, { slots: 25, connections: 19 });
    const { rows } = await db.executeSql(`select queue from waybill.autoscale where queue = 'late'`);
    expect(rows).toEqual([]);
  });
});
