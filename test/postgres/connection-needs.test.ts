// What doctor says of the connections of several databases. Real: Postgres, with two databases on one server.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectionFindings, readNeed, type ConnectionNeed } from '../../src/cli/connection-needs.ts';
import { readConfig } from '../../src/config/config.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let databases: readonly [TestDatabase, TestDatabase];
beforeAll(async () => {
  databases = await Promise.all([testDatabase(), testDatabase()]);
});
afterAll(() => Promise.all(databases.map((one) => one.end())));

const need = (database: string, server: string, processes: number): ConnectionNeed => ({
  database,
  server,
  allowed: 97,
  processes: Array.from({ length: processes }, () => ({ role: 'jobs', total: 22 })),
});

it('two databases of one server are known as such', async () => {
  const [eu, us] = databases;
  const config = readConfig({ WAYBILL_DATABASES: `eu=${eu.url},us=${us.url}` });
  const of = (one: TestDatabase, database: string) =>
    readNeed(one.db, { ...config, database }, [{ role: 'jobs' }, { role: 'relay' }]);
  const [first, second] = [await of(eu, 'eu'), await of(us, 'us')];
  expect(first.server).toBe(second.server);
  expect(first).toMatchObject({ database: 'eu', processes: [{ role: 'jobs' }, { role: 'relay' }] });
  expect(first.processes.every(({ total }) => total > 0)).toBe(true);
});

it('what they ask for is added up', () => {
  const found = connectionFindings([need('eu', 'a', 4), need('us', 'a', 2)]);
  expect(found).toMatchObject([{ code: 'connections_scarce', severity: 'warning' }]);
  expect(found[0]!.message).toMatch(
    /^to eu and us, which are on one server, the processes may open 132 connections in all \(eu: 4 jobs with up to 22; us: 2 jobs with up to 22\); the server has 97/,
  );
});

it('databases of different servers are not, and each server has its own finding', () => {
  expect(connectionFindings([need('eu', 'a', 4), need('us', 'b', 2)])).toEqual([]);
  expect(connectionFindings([need('eu', 'a', 5), need('us', 'b', 6)]).map(({ message }) => message)).toEqual([
    expect.stringMatching(/^5 processes may open 110/),
    expect.stringMatching(/^6 processes may open 132/),
  ]);
});
