// The console of two databases in a real browser, before one web server on two databases of one Postgres server.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { hasChromium, startChromium, type Browser, type Tab } from '../support/chromium.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';
import { adminKey, testFront, type TestFront } from '../support/web.ts';

if (!hasChromium) console.warn('chromium is not installed: the test of the console is SKIPPED');

describe.runIf(hasChromium)('the console of two databases', () => {
  let eu: TestDatabase;
  let us: TestDatabase;
  let front: TestFront;
  let browser: Browser;
  let tab: Tab;
  beforeAll(async () => {
    [eu, us, browser] = await Promise.all([testDatabase(), testDatabase(), startChromium()]);
    front = await testFront(defineApp({}), { eu: eu.url, us: us.url });
    tab = await browser.tab();
  });
  afterAll(async () => {
    await browser.close();
    await front.end();
    await Promise.all([eu.end(), us.end()]);
  });

  const record = (database: TestDatabase, name: string): Promise<unknown> =>
    createPostgresOutbox(database.db).enqueue({ kind: 'job', name, queue: 'jobs', payload: {} });
  const click = (text: string): Promise<void> =>
    tab.follow(`[...document.querySelectorAll('a')].find((one) => one.textContent === '${text}').click()`);
  const place = (): Promise<string> => tab.value<string>('location.pathname + location.search');
  const text = (): Promise<string> => tab.value<string>('document.querySelector("#live").textContent');

  it('is one address and one sign-in; the choice stays in the address, through links, a search and a live page', async () => {
    await record(eu, 'of-eu');
    await record(us, 'of-us');
    await tab.open(`${front.base}/console`);
    await tab.value(`document.querySelector('input[name=name]').value = 'ann'`);
    await tab.value(`document.querySelector('input[name=key]').value = '${adminKey}'`);
    await tab.follow(`document.querySelector('form').requestSubmit()`);
    expect(await place()).toBe('/console?database=eu');

    await click('Messages');
    expect(await place()).toBe('/console/messages?database=eu');
    expect(await text()).toContain('of-eu');
    await click('us');
    expect(await place()).toBe('/console/messages?database=us');
    expect(await text()).toContain('of-us');
    expect(await text()).not.toContain('of-eu');

    await tab.value(`document.querySelector('.top input[type=search]').value = 'name:of-us'`);
    await tab.follow(`document.querySelector('.top form').requestSubmit()`);
    expect(new URLSearchParams((await place()).split('?')[1]).get('database')).toBe('us');
    expect(await text()).toContain('of-us');

    await click('Queues');
    await record(us, 'later'); // the open page reads itself again
    await until(async () => /jobs\D*2/.test(await text()), { what: 'the change on the open page' });
    expect(await place()).toBe('/console/queues?database=us');
  });
});
