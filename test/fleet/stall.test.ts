// Real processes that stand still: behind a lock, stopped, with a blocked event loop, with a loop that hangs for good.

import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import type { Role, Running } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

let world: World;
const running: Running[] = [];
beforeAll(async () => {
  world = await fleetWorld({ METRICS_PORT: '0', PORT: '0', WAYBILL_APP: 'test/support/stall-app.ts' });
});
afterEach(async () => {
  for (const process of running.splice(0)) {
    process.kill('SIGKILL');
    await process.ended;
  }
  await world.database.db.executeSql('delete from waybill.processes');
});
afterAll(() => world.end());

async function start(role: Role, env: Readonly<Record<string, string>> = {}): Promise<Running> {
  const process = await world.fleet.start(role, env);
  running.push(process);
  return process;
}

type Ready = {
  readonly status: number;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail?: string }[];
};

function portOf(process: Running, which: 'health' | 'web'): string {
  if (which === 'health') return String(process.lines.find((line) => 'healthPort' in line)?.['healthPort']);
  return String(process.lines.find((line) => line['msg'] === 'web: listening')?.['address'])
    .split(':')
    .at(-1)!;
}

async function readyz(process: Running, which: 'health' | 'web' = 'health'): Promise<Ready> {
  const answer = await fetch(`http://127.0.0.1:${portOf(process, which)}/readyz`);
  return { status: answer.status, ...((await answer.json()) as { checks: Ready['checks'] }) };
}

const fleetCheck = ({ checks }: Ready) => checks.find(({ name }) => name === 'fleet');

async function metrics(web: Running): Promise<string> {
  return (await fetch(`http://127.0.0.1:${portOf(web, 'web')}/metrics`)).text();
}

/** Figures of the database are read every two seconds at most. */
async function shows(web: Running, line: string): Promise<void> {
  await until(async () => (await metrics(web)).includes(line), { what: line });
}

describe('G8: a stall is seen, and heals or ends the process', { timeout: 180_000 }, () => {
  it('a locked table leaves no worker and no relay green; web tells, and stays in service; all heal', async () => {
    const web = await start('web');
    const behind = [await start('relay'), await start('jobs'), await start('email')];
    for (const process of [...behind, web])
      await until(async () => (await readyz(process)).status === 200, { what: 'readiness' });
    const client = new pg.Client({ connectionString: world.database.url });
    await client.connect();
    try {
      await client.query('begin; lock table waybill.outbox_messages');
      for (const process of behind) {
        const red = await until(
          async () => {
            const answer = await readyz(process);
            return answer.status === 503 && answer;
          },
          { what: `a stall of ${process.role}`, timeoutMs: 30_000 },
        );
        expect(red.checks.find(({ name }) => name === 'loops')?.detail).toContain('stalled: ');
      }
      const told = await until(
        async () => {
          const answer = await readyz(web, 'web');
          return /relay .*stalled.*/.test(fleetCheck(answer)?.detail ?? '') && answer;
        },
        { what: 'the check of the fleet' },
      );
      expect(told.status).toBe(200);
      expect(fleetCheck(told)?.ok).toBe(false);
      await shows(web, 'waybill_processes_stalled{role="jobs"} 1');
    } finally {
      await client.end();
    }
    for (const process of behind)
      await until(async () => (await readyz(process)).status === 200, {
        what: `readiness of ${process.role} again`,
        timeoutMs: 30_000,
      });
    await until(async () => fleetCheck(await readyz(web, 'web'))?.ok, { what: 'a fleet in order' });
    const [id] = await world.enqueue('fine', {});
    await world.quiet();
    expect(id).toBeDefined();
  });

  it('a process that was stopped is named by web, and counted, until it goes on', async () => {
    const web = await start('web');
    const jobs = await start('jobs');
    const beats = `select count(*)::int as n from waybill.processes where role = 'jobs'`;
    await until(async () => (await world.count(beats)) === 1, { what: 'its first heartbeat' });
    jobs.kill('SIGSTOP');
    const told = await until(
      async () => /jobs .*silent for/.exec(fleetCheck(await readyz(web, 'web'))?.detail ?? '')?.[0],
      { what: 'the silence' },
    );
    expect(told).toContain(String(jobs.pid));
    await shows(web, 'waybill_processes_silent{role="jobs"} 1');
    jobs.kill('SIGCONT');
    await until(async () => fleetCheck(await readyz(web, 'web'))?.ok, { what: 'the heartbeat' });
    await shows(web, 'waybill_processes_silent{role="jobs"} 0');
  });

  it('a blocked event loop is killed; the message runs again elsewhere', async () => {
    await start('relay');
    const jobs = await start('jobs', { WAYBILL_STALL_LIMIT: '3s' });
    const [id] = await world.enqueue('block', {});
    expect(await jobs.ended).toBe('SIGKILL');
    expect(JSON.stringify(jobs.lines)).toContain('the event loop was blocked');
    await start('jobs');
    await world.quiet();
    const status = await world.count(
      `select count(*)::int as n from waybill.outbox_messages where id = $1 and status = 'delivered'`,
      [id],
    );
    expect(status).toBe(1);
  });

  it('a loop that hangs for good ends its process with code 70', async () => {
    await start('relay');
    const jobs = await start('jobs', { WAYBILL_STALL_LIMIT: '2s', WAYBILL_SHUTDOWN_GRACE: '2s' });
    await world.enqueue('wedge', {});
    await until(() => jobs.lines.some(({ msg }) => String(msg).includes('stands still and ends')), {
      what: 'the end',
      timeoutMs: 60_000,
    });
    expect(await jobs.ended).toBe(70);
    await start('jobs');
    await world.quiet();
  });
});
