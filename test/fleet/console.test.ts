// The console in a real browser, before the web server of an application on a database of its own. `npm run screenshots` also writes the pictures of
// docs/console.md.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { listActs } from '../../src/operate/audit.ts';
import { viewMessage } from '../../src/operate/read.ts';
import { listQueues, showQueue } from '../../src/queues/queues.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { hasChromium, startChromium, type Browser, type Tab } from '../support/chromium.ts';
import { seed, type Seeded } from '../support/console-seed.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

if (!hasChromium)
  console.warn('chromium is not installed: the tests of the console in a browser are SKIPPED');

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const pictures =
  process.env['SCREENSHOTS'] === undefined
    ? null
    : fileURLToPath(new URL('../../docs/console/', import.meta.url));

describe.runIf(hasChromium)('the console in a browser', () => {
  let database: TestDatabase;
  let seeded: Seeded;
  let web: TestWeb;
  let browser: Browser;
  let tab: Tab;
  let base: string;
  beforeAll(async () => {
    database = await testDatabase();
    seeded = await seed(database.db);
    web = testWeb(defineApp({}), database.url);
    base = await web.server.listen({ port: 0, host: '127.0.0.1' });
    browser = await startChromium();
    tab = await browser.tab();
    await tab.send('Page.addScriptToEvaluateOnNewDocument', {
      source: `window.violations = []; document.addEventListener('securitypolicyviolation', (one) => window.violations.push(one.violatedDirective + ' ' + one.blockedURI));`,
    });
  });
  afterAll(async () => {
    await browser.close();
    await web.end();
    await database.end();
  });

  const submit = (selector: string): Promise<void> =>
    tab.follow(`document.querySelector(${JSON.stringify(selector)}).requestSubmit()`);
  const fill = (selector: string, text: string): Promise<unknown> =>
    tab.value(`document.querySelector(${JSON.stringify(selector)}).value = ${JSON.stringify(text)}`);
  const has = (selector: string): Promise<boolean> =>
    tab.value<boolean>(`document.querySelector(${JSON.stringify(selector)}) !== null`);
  const path = (): Promise<string> => tab.value<string>('location.pathname + location.search');

  async function press(...keys: string[]): Promise<void> {
    for (const key of keys) {
      const text = key.length === 1 ? { text: key } : key === 'Enter' ? { text: '\r' } : {};
      await tab.send('Input.dispatchKeyEvent', { type: 'keyDown', key, ...text });
      await tab.send('Input.dispatchKeyEvent', { type: 'keyUp', key });
    }
  }

  async function size(width: number, scheme: 'light' | 'dark' = 'light'): Promise<void> {
    await tab.send('Emulation.setEmulatedMedia', {
      features: [{ name: 'prefers-color-scheme', value: scheme }],
    });
    await tab.send('Emulation.setDeviceMetricsOverride', {
      width,
      height: 860,
      deviceScaleFactor: 1,
      mobile: width < 500,
    });
  }

  async function signIn(): Promise<void> {
    await tab.open(`${base}/console`);
    if (!(await has('input[name=key]'))) return;
    await fill('input[name=name]', 'ann');
    await fill('input[name=key]', adminKey);
    await submit('form');
  }
  beforeEach(async () => {
    await size(1280);
    await signIn();
  });

  const hoursAgo = (n: number): string => new Date(Date.now() - n * 3_600_000).toISOString().slice(0, 16);

  const pages = (): [string, string][] => [
    ['now', '/console'],
    ['messages', '/console/messages'],
    ['message', `/console/messages/${seeded.dead}`],
    ['failures', '/console/failures'],
    ['bulk acts', '/console/bulk'],
    ['a new bulk act', '/console/bulk/new?action=cancel&q=queue%3Ainvoices'],
    ['running', '/console/running'],
    ['queues', '/console/queues'],
    ['queue', '/console/queues/invoices'],
    ['cron', '/console/cron'],
    ['cron job', '/console/cron/hourly-sync'],
    ['backfill', `/console/cron/hourly-sync/backfill?from=${hoursAgo(5)}&to=${hoursAgo(1)}`],
    ['suppressions', '/console/suppressions'],
    ['fleet', '/console/fleet'],
    ['audit', '/console/audit'],
    ['keys', '/console/keys'],
  ];

  async function seriousOfAxe(): Promise<string[]> {
    await tab.value(`${axe}; undefined`);
    return tab.value<
      string[]
    >(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => id + ': ' + nodes.slice(0, 3).map(({ html }) => html.slice(0, 160)).join(' | ')))`);
  }

  it.runIf(pictures !== null)('its pictures, light and dark, wide and on a phone', async () => {
    mkdirSync(pictures!, { recursive: true });
    const shots = [
      ['now', '/console', 1280, 'light', 900],
      ['now-dark', '/console', 1280, 'dark', 900],
      ['messages', '/console/messages', 1280, 'light', 900],
      ['message', `/console/messages/${seeded.dead}`, 1280, 'dark', 640],
      ['failures', '/console/failures', 1280, 'light', 640],
      ['bulk', '/console/bulk/new?action=retry&q=status%3Adead', 1280, 'light', 900],
      ['phone', '/console', 390, 'light', 1_200],
    ] as const;
    for (const [name, address, width, scheme, height] of shots) {
      await size(width, scheme);
      await tab.open(`${base}${address}`);
      const clip = { x: 0, y: 0, width, height, scale: 1 };
      const { data } = await tab.send('Page.captureScreenshot', {
        format: 'png',
        captureBeyondViewport: true,
        clip,
      });
      writeFileSync(`${pictures}${name}.png`, Buffer.from(String(data), 'base64'));
    }
  });

  it('every page keeps its policy, fits a phone and a wide screen, and axe finds nothing serious, light and dark', async () => {
    for (const [name, address] of pages())
      for (const [width, scheme] of [
        [1280, 'light'],
        [390, 'dark'],
      ] as const) {
        await size(width, scheme);
        await tab.open(`${base}${address}`);
        const wide = await tab.value<number>('document.documentElement.scrollWidth');
        expect([name, width, wide <= width]).toEqual([name, width, true]);
        expect([name, await tab.value<string[]>('window.violations')]).toEqual([name, []]);
        expect([name, scheme, await seriousOfAxe()]).toEqual([name, scheme, []]);
      }
  });

  it('the page before the session keeps its policy too, and the link of a page leads back to it', async () => {
    const fresh = await browser.tab();
    await fresh.send('Network.clearBrowserCookies');
    await tab.open(`${base}/console/messages?status=dead`);
    expect(await seriousOfAxe()).toEqual([]);
    await tab.value('document.body.append(Object.assign(new Image(), { src: "data:," }))');
    expect(await seriousOfAxe()).toEqual([expect.stringContaining('image-alt')]); // it does look
    await tab.value('document.querySelector("body > img").remove()');
    await fill('input[name=name]', 'ann');
    await fill('input[name=key]', adminKey);
    await submit('form');
    expect(await path()).toBe('/console/messages?status=dead');
  });

  it('nothing of a hostile text runs or moves the page', async () => {
    for (const address of ['/console/messages', '/console/messages?q=name%3Aimport']) {
      await tab.open(`${base}${address}`);
      expect(await tab.value<string>('document.title')).not.toContain('owned');
      expect(await tab.value<string[]>('window.violations')).toEqual([]);
      expect(await tab.value<number>('document.querySelectorAll("#live script, #live img").length')).toBe(0);
    }
  });

  it('keys go to places, to the search, through rows, and into a row', async () => {
    await press('g', 'm');
    await until(async () => (await path()) === '/console/messages', { what: 'the page of messages' });
    await until(() => has('#live tbody tr'), { what: 'rows' });
    await press('j', 'j', 'k');
    expect(
      await tab.value<number>(
        '[...document.querySelectorAll("#live tbody tr")].findIndex((row) => row.classList.contains("on"))',
      ),
    ).toBe(0);
    await press('x');
    expect(await tab.value<number>('document.querySelectorAll("#live input:checked").length')).toBe(1);
    await press('/');
    expect(await tab.value<string>('document.activeElement.name')).toBe('q');
    await press('Escape', '?');
    expect(await has('dialog[open]')).toBe(true);
    await press('Escape');
    await tab.value('document.querySelector("dialog").close()');
    const id = await tab.value<string>('document.querySelector("#live tbody tr.on").dataset.id');
    await press('Enter');
    await until(async () => (await path()) === `/console/messages/${id}`, {
      what: 'the page of the message',
    });
  });

  it('`* a` leads to the form of a bulk act, whose button below the preview starts it, also without script', async () => {
    await tab.open(`${base}/console/messages?q=queue%3Aemail&status=failed`);
    await press('*', 'a');
    await until(async () => (await path()).startsWith('/console/bulk/new'), { what: 'the form' });
    await until(() => has('form.fields'), { what: 'its fields' });
    expect(await tab.value<string>('document.querySelector(".fields [name=q]").value')).toBe(
      'queue:email status:retrying',
    );
    await fill('.fields [name=action]', 'hold');
    await fill('.fields [name=due]', '2h');
    await submit('form.fields');
    expect(await tab.value<string>('document.querySelector("h1").textContent')).toMatch(
      /^Hold \d+ messages\?$/,
    );
    expect((await listActs(database.db, { act: ['bulk.start'] })).acts).toEqual([]);
    const plain = await browser.tab();
    await plain.send('Emulation.setScriptExecutionDisabled', { value: true });
    await plain.open(`${base}${await path()}`);
    await plain.follow(`document.querySelector('form[action="/console/bulk/start"]').submit()`);
    expect(await plain.value<string>('document.querySelector("h1").textContent')).toMatch(
      /^Hold .* running$/,
    );
    const { acts } = await listActs(database.db, { act: ['bulk.start'] });
    await tab.open(`${base}/console/bulk/${acts[0]!.target}`);
    await press('c');
    expect(await has('details[data-key=c][open]')).toBe(true);
    await submit('details[data-key=c] form');
    expect(await tab.value<string>('document.querySelector(".done").textContent')).toBe('It is stopped.');
  });

  it('a group of failures is muted by its form, and folds away', async () => {
    await tab.open(`${base}/console/failures`);
    const before = await tab.value<number>('document.querySelectorAll("#live tbody tr").length');
    await press('j', 'r');
    await until(async () => (await path()).startsWith('/console/bulk/new?action=retry'), {
      what: 'the preview of a retry',
    });
    await tab.open(`${base}/console/failures`);
    await submit('form[action$="/mute"]');
    expect(await has('#muted tbody tr')).toBe(true);
    expect(await tab.value<number>('document.querySelectorAll("#live tbody tr").length')).toBe(before);
    await submit('form[action$="/unmute"]');
    expect(await has('#muted')).toBe(false);
  });

  it('a dangerous key opens what it would do, and only the form does it', async () => {
    await tab.open(`${base}/console/messages/${seeded.dead}`);
    await press('r');
    expect(await has('details[data-key=r][open]')).toBe(true);
    expect((await viewMessage(database.db, seeded.dead)).status).toBe('dead');
    await fill('details[data-key=r] [name=reason]', 'mended');
    await submit('details[data-key=r] form');
    expect(await has('.done')).toBe(true);
    expect((await viewMessage(database.db, seeded.dead)).status).toBe('pending');
    await submit('details[data-key=c] form');
    expect((await viewMessage(database.db, seeded.dead)).status).toBe('cancelled');
    const { acts } = await listActs(database.db, { target: seeded.dead });
    expect(acts.map(({ act, via, reason }) => [act, via, reason])).toEqual([
      ['message.cancel', 'console', null],
      ['message.retry', 'console', 'mended'],
    ]);
  });

  it('a running attempt is ended, and a waiting message rescheduled, copied and erased', async () => {
    const form = (act: string): string => `form[action$="/${act}"]`;
    await tab.open(`${base}/console/messages/${seeded.running}`);
    await submit(form('end'));
    expect((await viewMessage(database.db, seeded.running)).status).toBe('dead');
    await tab.open(`${base}/console/messages/${seeded.waiting}`);
    await fill(`${form('reschedule')} [name=in]`, '2h');
    await submit(form('reschedule'));
    const { availableAt } = await viewMessage(database.db, seeded.waiting);
    expect((availableAt as Date).getTime()).toBeGreaterThan(Date.now() + 3_600_000);
    await submit(form('copy'));
    expect(await path()).not.toBe(`/console/messages/${seeded.waiting}`);
    await tab.open(`${base}/console/messages/${seeded.running}`);
    await submit(form('erase'));
    expect(await tab.value<string>('document.querySelector(".done").textContent')).toBe('Erased.');
  });

  it('the pause of a queue and its end, by its row', async () => {
    await tab.open(`${base}/console`);
    await fill('form[action="/console/queues/events/pause"] [name=for]', '1h');
    await submit('form[action="/console/queues/events/pause"]');
    expect((await showQueue(database.db, 'events')).state).toBe('paused');
    await press('p');
    expect(await has('details[data-key=p][open]')).toBe(true);
    await submit('form[action="/console/queues/events/resume"]');
    expect((await showQueue(database.db, 'events')).state).toBe('open');
  });

  it('all queues but one are paused by boxes, what runs is ended from its row, and a backfill is previewed first', async () => {
    await tab.open(`${base}/console/queues`);
    const all = 'form[action="/console/queues/pause"]';
    await tab.value(`document.querySelector('${all} [value=email]').checked = true`);
    await submit(all);
    expect((await listQueues(database.db)).map(({ state }) => state)).toEqual([
      'open',
      'paused',
      'paused',
      'paused',
    ]);
    await submit('form[action="/console/queues/resume"]');
    const { id } = await createPostgresOutbox(database.db).enqueue({
      kind: 'job',
      name: 'hangs',
      queue: 'jobs',
      payload: {},
    });
    await createPostgresOutbox(database.db).claimBatch({
      limit: 1,
      leaseMs: 600_000,
      workerId: 'host-2:4002:abc',
      ids: [id],
    });
    await tab.open(`${base}/console/running`);
    expect(await has('form[action="/console/fleet/host-2%3A4002%3Aabc/quiet"]')).toBe(true);
    await submit(`form[action="/console/messages/${id}/end"]`);
    expect((await viewMessage(database.db, id)).status).toBe('dead');
    await tab.open(`${base}/console/cron/hourly-sync`);
    const range = 'form[action="/console/cron/hourly-sync/backfill"]';
    await fill(`${range} [name=from]`, hoursAgo(5));
    await fill(`${range} [name=to]`, hoursAgo(1));
    await submit(range);
    expect(await tab.value<string>('document.querySelector("h1").textContent')).toBe('Run 4 ticks?');
    await submit(`form[method=post]${range.slice(4)}`);
    expect(await tab.value<string>('document.querySelector(".done").textContent')).toContain('4 runs of');
  });

  it('a new message is offered and does not move the rows; a stopped page stays as it is', async () => {
    await tab.open(`${base}/console/messages`);
    const rows = await tab.value<number>('document.querySelectorAll("#live tbody tr").length');
    await createPostgresOutbox(database.db).enqueue({
      kind: 'job',
      name: 'fresh',
      queue: 'jobs',
      payload: {},
    });
    await until(() => has('#fresh'), { timeoutMs: 15_000, what: 'the offer of the new message' });
    expect(await tab.value<string>('document.querySelector("#fresh").textContent')).toBe('1 new');
    expect(await tab.value<number>('document.querySelectorAll("#live tbody tr").length')).toBe(rows);
    await tab.value('document.querySelector("#fresh").click()');
    expect(await tab.value<number>('document.querySelectorAll("#live tbody tr").length')).toBe(rows + 1);
    await press('.');
    expect(await tab.value<string>('document.querySelector("#age").textContent')).toContain('stopped');
  });

  it('without script pages are read, and an act is done', async () => {
    const plain = await browser.tab();
    await plain.send('Emulation.setScriptExecutionDisabled', { value: true });
    await plain.open(`${base}/console/messages?status=dead`);
    expect(await plain.value<number>('document.querySelectorAll("tbody tr").length')).toBeGreaterThan(0);
    await plain.open(`${base}/console/queues/jobs`);
    await plain.follow(`document.querySelector('form[action="/console/queues/jobs/pause"]').submit()`);
    expect((await showQueue(database.db, 'jobs')).state).toBe('paused');
    await plain.follow(`document.querySelector('form[action="/console/queues/jobs/resume"]').submit()`);
    expect((await showQueue(database.db, 'jobs')).state).toBe('open');
  });
});
