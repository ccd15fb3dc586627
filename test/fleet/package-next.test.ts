import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { installPackage, type Consumer } from '../support/consumer.ts';
import { withDatabase } from '../support/library.ts';
import { until } from '../support/wait.ts';

// A small application of Next.js, built by each of its bundlers and started: one route records a row and a message, another is the drain. Next.js
// takes 300 MB, so it is installed into a temporary folder and is no dependency of this repository.

let app: Consumer;
beforeAll(async () => {
  const swc = `@next/swc-${process.platform}-${process.arch}${process.platform === 'linux' ? '-gnu' : ''}`;
  const versions = ['next@16.4.6', `${swc}@16.4.6`, 'react@19.3.1', 'react-dom@19.3.1'];
  app = await installPackage(['pg', 'zod', ...versions], ['--omit=optional']); // without sharp, which makes pictures
  for (const [path, text] of Object.entries(files)) app.write(path, text);
}, 400_000);
afterAll(() => app.end());

const env = { NEXT_TELEMETRY_DISABLED: '1', CRON_SECRET: 'a-secret-of-the-test' };
const next = 'node_modules/next/dist/bin/next';

describe('Next.js', () => {
  it.each(['turbopack', 'webpack'])(
    'built by %s, a route records and the drain route delivers',
    async (bundler) => {
      const built = await app.run('node', [next, 'build', `--${bundler}`], env);
      expect(built.code, built.stdout + built.stderr).toBe(0);
      expect(built.stdout + built.stderr).not.toMatch(/module not found|can't resolve|critical dependency/i);
      await withDatabase(async (database) => {
        const port = await freePort();
        const server = app.start('node', [next, 'start', '-p', String(port)], { ...env, ...database });
        const said: string[] = [];
        for (const stream of [server.stdout!, server.stderr!])
          stream.on('data', (chunk: Buffer) => said.push(chunk.toString()));
        const exit = once(server, 'exit');
        const ask = async (path: string, headers = {}): Promise<[number, unknown]> => {
          const answer = await fetch(`http://127.0.0.1:${port}/api/${path}`, { method: 'POST', headers });
          return [answer.status, await answer.json()];
        };
        await until(async () => (await ask('signup'))[0] === 201, { what: 'an answer', timeoutMs: 60_000 });
        expect(await ask('drain')).toMatchObject([401, { code: 'unauthorized' }]);
        const key = { authorization: `Bearer ${env.CRON_SECRET}` };
        expect(await ask('drain', key), said.join('')).toMatchObject([200, { claimed: 1, delivered: 1 }]);
        expect(await ask('mail'), said.join('')).toEqual([200, { kind: 'email' }]);
        server.kill('SIGTERM');
        await exit;
      });
    },
    180_000,
  );
});

const files = {
  // Without it, a lockfile in a folder above would make that folder the root.
  'next.config.mjs': `export default { turbopack: { root: import.meta.dirname }, outputFileTracingRoot: import.meta.dirname };`,
  'app/layout.js': `export default function Layout({ children }) { return <html><body>{children}</body></html>; }`,
  'app/page.js': `export default function Page() { return <p>hello</p>; }`,
  'app/outbox.js': `
    import pg from 'pg';
    import { z } from 'zod';
    import { createPostgresOutbox, createPostgresOutboxSetupStatements, defineJob, defineOutboxRegistry } from 'waybill';

    export const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
    export const outbox = createPostgresOutbox(pool);
    export const welcome = defineJob({
      name: 'welcome',
      payload: z.object({ email: z.email() }),
      async handler(ctx, { email }) {
        await ctx.db.query('update signups set welcomed = true where email = $1', [email]);
      },
    });
    export const registry = defineOutboxRegistry({ jobs: [welcome] });

    export async function setUp() {
      const { rows } = await pool.query("select to_regclass('signups') is not null as there");
      if (rows[0].there) return;
      for (const statement of createPostgresOutboxSetupStatements()) await pool.query(statement);
      await pool.query('create table signups (email text primary key, welcomed boolean)');
    }`,
  'app/api/signup/route.js': `
    import { createPostgresOutbox, enqueueJob } from 'waybill';
    import { pool, setUp, welcome } from '../../outbox';

    export async function POST() {
      await setUp();
      const email = 'ann@customers.example';
      const client = await pool.connect();
      try {
        await client.query('begin');
        await client.query('insert into signups (email) values ($1)', [email]);
        const { id } = await enqueueJob(createPostgresOutbox(client), welcome, { email });
        await client.query('commit');
        return Response.json({ id }, { status: 201 });
      } catch (error) {
        await client.query('rollback');
        throw error;
      } finally {
        client.release();
      }
    }`,
  'app/api/drain/route.js': `
    import { createOutboxDrainRoute } from 'waybill';
    import { outbox, pool, registry } from '../../outbox';

    export const { GET, POST } = createOutboxDrainRoute({ secret: process.env.CRON_SECRET, outbox, registry, pool });`,
  // An html-only email needs html-to-text, which is loaded at run time.
  'app/api/mail/route.js': `
    import { enqueueEmail } from 'waybill';
    import { outbox, pool } from '../../outbox';

    export async function POST() {
      const email = { to: 'ann@customers.example', subject: 'Welcome', html: '<p>text</p>' };
      const { id } = await enqueueEmail(outbox, email, { from: 'shop@shop.example' });
      const { rows } = await pool.query('select kind from waybill.outbox_messages where id = $1', [id]);
      return Response.json(rows[0]);
    }`,
};
