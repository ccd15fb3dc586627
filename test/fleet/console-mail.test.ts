// Mails and live pages of the console in a real browser. Real: Postgres, the web server, chromium, and a server outside that counts who asks it.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { hasChromium, startChromium, type Browser, type Tab } from '../support/chromium.ts';
import { hostile, seed } from '../support/console-seed.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

if (!hasChromium) console.warn('chromium is not installed: the tests of mails in the console are SKIPPED');

describe.runIf(hasChromium)('mails and live pages in a browser', () => {
  let database: TestDatabase;
  let web: TestWeb;
  let browser: Browser;
  let tab: Tab;
  let base: string;
  let outside: Server;
  const asked: string[] = [];
  beforeAll(async () => {
    database = await testDatabase();
    await seed(database.db);
    web = testWeb(defineApp({}), database.url, { WAYBILL_EMAIL_PROVIDER: 'inbox' });
    base = await web.server.listen({ port: 0, host: '127.0.0.1' });
    outside = createServer(({ url = '' }, response) => {
      asked.push(url);
      response.end('');
    });
    await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
    browser = await startChromium();
    tab = await browser.tab();
    await tab.send('Page.addScriptToEvaluateOnNewDocument', {
      source: `window.violations = []; document.addEventListener('securitypolicyviolation', (one) => window.violations.push(one.violatedDirective + ' ' + one.blockedURI));
        window.streams = []; const Own = window.EventSource; window.EventSource = class extends Own { constructor(url) { super(url); window.streams.push(this); } };`,
    });
    await tab.open(`${base}/console`);
    await tab.value(`document.querySelector('input[name=name]').value = 'ann'`);
    await tab.value(`document.querySelector('input[name=key]').value = ${JSON.stringify(adminKey)}`);
    await tab.follow(`document.querySelector('form').requestSubmit()`);
  });
  afterAll(async () => {
    await browser.close();
    outside.closeAllConnections();
    outside.close();
    await web.end();
    await database.end();
  });

  const to = (way: string): string => `http://127.0.0.1:${(outside.address() as AddressInfo).port}/${way}`;
  const enqueue = async (payload: unknown): Promise<string> => {
    const message = { kind: 'email' as const, name: 'email', queue: 'email', payload };
    return (await createPostgresOutbox(database.db).enqueue(message)).id;
  };
  const green = [18, 171, 52] as const;
  const show = (): Promise<void> =>
    tab.follow(`document.querySelector('form[action$="/show"]').requestSubmit()`);

  it('a hostile mail is shown, and runs nothing, loads nothing, and leads nowhere', async () => {
    const html = `<!doctype html><title>x</title><meta http-equiv="refresh" content="0; url=${to('refresh')}">
      <base target="_top"><link rel="stylesheet" href="${to('css')}">
      <style>@import url(${to('import')}); html, body { margin: 0; height: 100%; background: #12ab34 url(${to('background')}) }</style>
      <script>top.document.title = 'owned'; fetch('${to('script')}')</script>
      <svg onload="top.document.title='owned'; fetch('${to('svg')}')"><image href="${to('image')}"/></svg>
      <img src="${to('img')}" onerror="top.document.title='owned'"><iframe src="${to('frame')}"></iframe>
      <object data="${to('object')}"></object><embed src="${to('embed')}"><video src="${to('video')}" preload="auto"></video>
      <form action="${to('form')}" method="post"><input autofocus onfocus="top.document.title='owned'"><button>x</button></form>
      <a id="top" href="${to('top')}" target="_top" style="position:fixed;inset:0">x</a></iframe></div>`;
    const id = await enqueue({
      from: 'a@b.test',
      to: ['c@b.test'],
      subject: hostile.replaceAll(/\p{C}/gu, '').slice(0, 300),
      html,
      text: hostile,
    });
    await tab.open(`${base}/console/messages/${id}`);
    await show();
    await tab.value(`document.querySelector('iframe').scrollIntoView()`);
    await until(async () => (await tab.pixels(green)) > 10_000, { what: 'the html of the mail' });
    // A click into the frame is on the link that covers it.
    const { x, y } = await tab.value<{ x: number; y: number }>(
      `(() => { const { x, y, width, height } = document.querySelector('iframe').getBoundingClientRect(); return { x: x + width / 2, y: y + Math.min(height, 200) / 2 } })()`,
    );
    for (const type of ['mousePressed', 'mouseReleased'])
      await tab.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    const alone = await browser.tab(); // what a page without the policy takes as long for
    await alone.open(to('control'));
    await until(() => asked.includes('/control'));
    expect(asked.filter((path) => path !== '/control' && path !== '/favicon.ico')).toEqual([]);
    expect(await tab.value<string>('location.pathname')).toBe(`/console/messages/${id}/show`);
    expect(await tab.value<string>('document.title')).not.toContain('owned');
    expect(await tab.value<string[]>('window.violations')).toEqual([]);
    expect(await tab.value<number>('document.querySelectorAll("#live script, #live img").length')).toBe(0);
  });

  it('texts of a mail fit a phone, whatever they are', async () => {
    const screen = { width: 390, height: 800, deviceScaleFactor: 1, mobile: true };
    await tab.send('Emulation.setDeviceMetricsOverride', screen);
    const id = await enqueue({
      from: 'a@b.test',
      to: ['c@b.test'],
      subject: 'w'.repeat(700),
      text: 'w'.repeat(3_000),
      attachments: [{ filename: `${'w'.repeat(200)}.txt`, content: 'x' }],
    });
    await tab.open(`${base}/console/messages/${id}`);
    await show();
    expect(await tab.value<number>('document.documentElement.scrollWidth')).toBe(390);
    await tab.send('Emulation.clearDeviceMetricsOverride');
  });

  it('a page has one stream while it is seen, and none when it is hidden or stopped', async () => {
    const open = (): Promise<number> =>
      tab.value<number>('window.streams.filter((one) => one.readyState !== 2).length');
    await tab.open(`${base}/console/queues`);
    await until(async () => (await open()) === 1, { what: 'a stream' });
    await tab.value(`Object.defineProperty(document, 'hidden', { value: true, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'))`);
    expect(await open()).toBe(0);
    await tab.value(`delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))`);
    expect(await open()).toBe(1);
    await tab.value(`document.dispatchEvent(new KeyboardEvent('keydown', { key: '.', bubbles: true }))`);
    expect(await open()).toBe(0);
  });

  it('where the stream is refused the page asks by itself', async () => {
    await tab.open(`${base}/console/messages`);
    await tab.value(`window.streams.at(-1).close(); window.streams.at(-1).dispatchEvent(new Event('error'))`);
    await enqueue({ from: 'a@b.test', to: ['c@b.test'], subject: 's', text: 't' });
    const has = `document.querySelector('#fresh') !== null`;
    await until(() => tab.value<boolean>(has), { timeoutMs: 30_000, what: 'the offer of the new message' });
  });

  it('the inbox is a page of the console, and its key leads there and back', async () => {
    await tab.open(`${base}/inbox`);
    expect(await tab.value<string>('document.querySelector(".places [aria-current]").textContent')).toBe(
      'Inbox',
    );
    for (const key of ['g', 'm'])
      await tab.value(
        `document.dispatchEvent(new KeyboardEvent('keydown', { key: '${key}', bubbles: true }))`,
      );
    await until(() => tab.value<boolean>('location.pathname === "/console/messages"'), {
      what: 'the messages',
    });
  });
});
