// A process that waits for its database: how it says so, and how it ends. The processes are real; the database is a port where nobody listens, or one
// without the schema.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testFleet } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

let empty: TestDatabase;
beforeAll(async () => {
  empty = await testDatabase({ migrated: false });
});
afterAll(() => empty.end());

it.each(['web', 'jobs', 'relay', 'scheduler'] as const)(
  'SIGTERM ends %s at once and well while it waits',
  async (role) => {
    const nobody = `postgres://u:geheim@127.0.0.1:${await freePort()}/none`;
    for (const [url, words] of [
      [nobody, /^waiting: nobody listens at the host and port of DATABASE_URL/],
      [empty.url, /^waiting: .*waybill release/],
    ] as const) {
      const fleet = testFleet({ DATABASE_URL: url, WAYBILL_APP: 'app/index.ts', PORT: '0' });
      try {
        const process = fleet.launch(role);
        const waits = (): boolean => process.lines.some(({ msg }) => words.test(String(msg)));
        await until(waits, { timeoutMs: 30_000, what: `${role} to wait: ${JSON.stringify(process.lines)}` });
        expect(await process.stop()).toBe(0);
        expect(process.lines.filter(({ level }) => level === 'fatal' || level === 'error')).toEqual([]);
        expect(JSON.stringify(process.lines)).not.toContain('geheim');
      } finally {
        await fleet.end();
      }
    }
  },
);

it('a process that waits is alive and not ready, and says why', async () => {
  const nobody = `postgres://u:geheim@127.0.0.1:${await freePort()}/none`;
  for (const [url, check] of [
    [nobody, { name: 'database', ok: false, detail: 'the database does not answer' }],
    [empty.url, { name: 'schema', ok: false, detail: 'migrations are missing: run `waybill release`' }],
  ] as const) {
    const port = await freePort();
    const fleet = testFleet({ DATABASE_URL: url, WAYBILL_APP: 'app/index.ts', METRICS_PORT: String(port) });
    try {
      const process = fleet.launch('jobs');
      const waits = (): boolean => process.lines.some(({ msg }) => String(msg).startsWith('waiting: '));
      await until(waits, { timeoutMs: 30_000, what: `jobs to wait: ${JSON.stringify(process.lines)}` });
      expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200);
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      expect(answer.status).toBe(503);
      const { checks } = (await answer.json()) as { checks: object[] };
      expect(checks).toContainEqual(check);
      expect(checks).toContainEqual({
        name: 'running',
        ok: false,
        detail: 'waits until the database can be used',
      });
      expect(await process.stop()).toBe(0);
    } finally {
      await fleet.end();
    }
  }
});

it('a password that the database refuses is not waited for: one line that names DATABASE_URL, exit code 69', async () => {
  const url = new URL(empty.url);
  url.password = 'falsch';
  const fleet = testFleet({ DATABASE_URL: url.href, WAYBILL_APP: 'app/index.ts', PORT: '0' });
  try {
    const process = fleet.launch('jobs');
    expect(await process.ended).toBe(69);
    const said = process.lines.map(({ msg }) => String(msg));
    expect(said.at(-1)).toBe('cannot go on: the database refused user or password of DATABASE_URL');
    expect(JSON.stringify(process.lines)).not.toContain('falsch');
  } finally {
    await fleet.end();
  }
});
