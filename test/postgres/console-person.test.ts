// The page of one person's data, without a browser. Real: Postgres and the web server.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { listActs } from '../../src/operate/audit.ts';
import { viewMessage } from '../../src/operate/read.ts';
import { consoleEnv, consoleOf, tokenIn } from '../support/console-people.ts';
import { seed, type Seeded } from '../support/console-seed.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let seeded: Seeded;
let web: TestWeb;
let ann: string;
const { send, signIn, act } = consoleOf(() => web);
beforeAll(async () => {
  database = await testDatabase();
  seeded = await seed(database.db);
  web = testWeb(defineApp({}), database.url, consoleEnv);
  ann = await signIn('ann');
});
afterAll(async () => {
  await web.end();
  await database.end();
});

/** The hidden fields of the form that leads to this path. */
function hiddenOf(body: string, path: string): Record<string, string> {
  const [, form = ''] = new RegExp(`action="${path}">(.*?)</form>`, 's').exec(body) ?? [];
  const fields = form.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g);
  return Object.fromEntries(
    [...fields].map(([, name, value]) => [name!, value!.replaceAll('&quot;', '"').replaceAll('&amp;', '&')]),
  );
}

describe('a person’s data', () => {
  const recipient = 'ann@customers.example';

  it('is found, and erased after the address was typed again; neither is in a URL or the audit', async () => {
    const found = await act(ann, '/console/person/find', { recipient, reason: 'she asked' });
    expect([found.status, found.body]).toEqual([
      200,
      expect.stringContaining('Found for a***@customers.example'),
    ]);
    expect(found.body).toContain(seeded.delivered);
    const hidden = hiddenOf(found.body, '/console/person/erase');
    expect(hidden).toMatchObject({ recipient, reason: 'she asked' });
    const erase = (confirm: string) =>
      send('POST', '/console/person/erase', {
        cookie: ann,
        form: new URLSearchParams({ ...hidden, _token: tokenIn(found.body), confirm }).toString(),
      });
    const wrong = await erase('bob@customers.example');
    expect(wrong.body).toContain('Nothing was erased');
    expect(wrong.body).toContain(seeded.delivered);
    expect((await viewMessage(database.db, seeded.delivered)).subject).toBe('Welcome');
    const erased = await erase(' ANN@customers.example');
    expect([erased.status, erased.body]).toEqual([200, expect.stringContaining('Erased for')]);
    expect((await viewMessage(database.db, seeded.delivered)).subject).toBeNull();
    const { acts } = await listActs(database.db, { act: ['person.erase'] });
    expect(acts[0]).toMatchObject({ by: 'ann Example', via: 'console', reason: 'she asked' });
    expect(JSON.stringify(acts)).not.toContain('ann@');
    expect(
      (await act(ann, '/console/person/find', { recipient: 'nobody@customers.example' })).body,
    ).toContain('Nothing holds this address');
  });

  it('is for the role admin alone; what is no address or was edited by hand is refused', async () => {
    const oscar = await signIn('oscar');
    expect((await send('GET', '/console/person', { cookie: oscar })).status).toBe(403);
    expect((await act(oscar, '/console/person/find', { recipient })).status).toBe(403);
    expect((await send('GET', '/console/suppressions', { cookie: oscar })).body).not.toContain(
      '/console/person',
    );
    expect((await send('GET', '/console/suppressions', { cookie: ann })).body).toContain('/console/person');
    expect((await act(ann, '/console/person/find', { recipient: 'nothing' })).status).toBe(400);
    expect((await act(ann, '/console/person/find', { recipient, before: '{' })).status).toBe(400);
    expect((await act(ann, '/console/person/find', { recipient, cursor: 'x' })).status).toBe(400);
  });
});
