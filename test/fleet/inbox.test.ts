import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { prepareEmail, type EmailInput } from '../../src/email/email.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { hasChromium, startChromium, type Browser, type Tab } from '../support/chromium.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testFleet, type Running, type TestFleet } from '../support/fleet.ts';
import { storeEmail } from '../support/inbox.ts';
import { until } from '../support/wait.ts';

// The development inbox as its users have it: web, relay and email worker as processes, and a real browser before web.
const productionKey = 'k'.repeat(40);
let database: TestDatabase;
let fleet: TestFleet;
let development: string;
let production: string;

beforeAll(async () => {
  database = await testDatabase();
  fleet = testFleet({
    DATABASE_URL: database.url,
    WAYBILL_APP: 'test/support/fleet-app.ts',
    WAYBILL_EMAIL_PROVIDER: 'inbox',
  });
  const ports = [await freePort(), await freePort()];
  [development, production] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string];
  await Promise.all([
    fleet.start('relay'),
    fleet.start('email'),
    fleet.start('web', { PORT: String(ports[0]) }),
  ]);
});
afterAll(async () => {
  await fleet.end();
  await database.end();
});

/** As production has it; with one web process for all tests. */
let productionWeb: Promise<Running> | undefined;
function startProduction(): Promise<Running> {
  productionWeb ??= fleet.start('web', {
    PORT: new URL(production).port,
    NODE_ENV: 'production',
    WAYBILL_ADMIN_KEY: productionKey,
  });
  return productionWeb;
}

type Mail = { id: string; subject: string; text: string; recipients: string[] };

async function inbox(path = ''): Promise<unknown> {
  const answer = await fetch(`${development}/inbox${path}`, { headers: { accept: 'application/json' } });
  return answer.json();
}

describe('the fleet with the provider inbox', () => {
  it('what is enqueued is read as JSON, with who gets it, and its message is delivered', async () => {
    const input: EmailInput = {
      from: 'shop@shop.test',
      to: ['Ann <ann@b.test>', 'bob@b.test'],
      subject: 'Confirm',
      html: '<p>Go to <a href="https://shop.test/c?t=7">your page</a></p>',
    };
    const payload = prepareEmail(input, { defaultFrom: null });
    const message = { kind: 'email' as const, name: 'email', queue: 'email', payload };
    const { id } = await createPostgresOutbox(database.db).enqueue(message);
    const { mails } = await until(
      async () => {
        const found = (await inbox('?search=ann@b.test')) as { mails: Mail[] };
        return found.mails.length > 0 && found;
      },
      { what: 'the mail in the inbox' },
    );
    expect(mails).toMatchObject([{ id, subject: 'Confirm', recipients: ['ann@b.test', 'bob@b.test'] }]);
    const mail = (await inbox(`/${id}`)) as Mail;
    expect(mail.text).toContain('https://shop.test/c?t=7');
    await until(async () => {
      const sql = 'select status from waybill.outbox_messages where id = $1';
      return (await database.db.executeSql<{ status: string }>(sql, [id])).rows[0]!.status === 'delivered';
    });
  });

  it('in production every process that would send warns at its start that no mail leaves', async () => {
    const warns = ({ lines }: Running) =>
      lines.some(({ msg, level }) => /none is sent/.test(String(msg)) && level === 'warn');
    expect(warns(await startProduction())).toBe(true);
    const email = await fleet.start('email', { NODE_ENV: 'production' });
    expect(warns(email)).toBe(true);
    expect(await email.stop()).toBe(0);
  });
});

if (!hasChromium) console.warn('chromium is not installed: the tests of the inbox in a browser are SKIPPED');

/** Whoever loads something from here has reached the outside. */
async function startOutside(): Promise<{ url: string; asked: Set<string>; server: Server }> {
  const asked = new Set<string>();
  const server = createServer(({ url = '' }, response) => {
    asked.add(url);
    const isPage = url === '/control';
    response.setHeader('content-type', isPage ? 'text/html' : 'text/plain');
    response.end(isPage ? reaching(`http://127.0.0.1:${port()}`, 'control') : '');
  });
  const port = (): number => (server.address() as AddressInfo).port;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${port()}`, asked, server };
}

/** Ways for the html of a mail to reach the outside. */
const ways = [
  'img',
  'set',
  'css',
  'import',
  'background',
  'script',
  'inline',
  'frame',
  'object',
  'video',
  'input',
  'refresh',
];

function reaching(outside: string, who: string): string {
  const to = (way: string) => `${outside}/${who}/${way}`;
  return `<!doctype html><title>x</title><meta http-equiv="refresh" content="1; url=${to('refresh')}">
    <link rel="stylesheet" href="${to('css')}"><style>@import url(${to('import')}); body { background: url(${to('background')}) }</style>
    <script src="${to('script')}"></script>
    <script>fetch('${to('inline')}', { mode: 'no-cors' }); try { top.document.title = 'owned' } catch {}</script>
    <img src="${to('img')}"><img srcset="${to('set')} 1x"><iframe src="${to('frame')}"></iframe>
    <object data="${to('object')}"></object><video src="${to('video')}" preload="auto"></video>
    <input type="image" src="${to('input')}"><svg onload="top.document.title='owned'"></svg></iframe>`;
}

describe.runIf(hasChromium)('the pages in a browser', () => {
  let browser: Browser;
  let tab: Tab;
  beforeAll(async () => {
    browser = await startChromium();
    tab = await browser.tab();
  });
  afterAll(() => browser.close());

  const green = [18, 171, 52] as const;
  /** A frame is painted by a process of its own, a moment after its page has loaded. */
  const painting = (shown: Tab, least: number) =>
    until(async () => (await shown.pixels(green)) > least, { what: `more than ${least} green pixels` });
  const painted = {
    subject: 'Painted',
    html: '<style>html, body { margin: 0; height: 100%; background: #12ab34 }</style>',
  };

  it('the html of a mail is shown in its frame, as wide as the page, with its own styles', async () => {
    const id = await storeEmail(database.db, painted);
    await tab.open(`${development}/inbox/${id}`);
    expect(await tab.value('document.querySelector("h1").textContent')).toBe('Painted');
    const shown = await tab.value<number>('document.querySelector("iframe").clientWidth');
    expect(shown).toBeGreaterThan(500); // without our own style it would have 300
    await painting(tab, shown * 100);
  });

  it('an image that the mail brings along is shown', async () => {
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"><rect width="200" height="200" fill="#12ab34"/></svg>`;
    const html = `<img src="data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}">`;
    await tab.open(`${development}/inbox/${await storeEmail(database.db, { html })}`);
    await painting(tab, 39_999);
  });

  it('its html reaches nothing outside, in its frame or alone, and runs no script', async () => {
    const outside = await startOutside();
    try {
      const html = reaching(outside.url, 'mail');
      const id = await storeEmail(database.db, { subject: 'Hostile', html });
      await tab.open(`${development}/inbox/${id}`);
      const alone = await browser.tab();
      await alone.open(`${development}/inbox/${id}/html`);
      // The same html without the policy, which takes the same time to do the same things.
      const control = await browser.tab();
      await control.open(`${outside.url}/control`);
      await until(() => ways.every((way) => outside.asked.has(`/control/${way}`)), {
        what: `the ways that work without the policy; so far ${[...outside.asked].join()}`,
      });
      expect([...outside.asked].filter((path) => path.startsWith('/mail'))).toEqual([]);
      expect(await tab.value('document.title')).toBe('Hostile · Waybill');
      expect(await alone.value('[location.pathname, document.title]')).toEqual([`/inbox/${id}/html`, 'x']);
    } finally {
      outside.server.closeAllConnections();
      outside.server.close();
    }
  });

  it('hostile subjects, names and texts are text', async () => {
    const evil = `"><script>document.title='owned'</script></title></iframe><img src=x onerror="document.title='owned'">`;
    const text = `${evil} javascript:alert(1) https://shop.test/c?a=1&b=2.`;
    const id = await storeEmail(database.db, {
      subject: evil,
      text,
      html: undefined,
      attachments: [{ filename: evil.replaceAll('/', ''), content: 'x' }], // a name with a slash is refused
    });
    for (const path of [`?search=${encodeURIComponent(evil)}`, `/${id}`]) {
      await tab.open(`${development}/inbox${path}`);
      expect(
        await tab.value('document.querySelectorAll("script:not([src]), img, #live script").length'),
      ).toBe(0);
      expect(await tab.value('document.title')).not.toBe('owned');
    }
    expect(await tab.value('document.querySelector("h1").textContent')).toBe(evil);
    expect(await tab.value('document.querySelector("pre").textContent')).toBe(text);
    expect(await tab.value('document.querySelector("pre a").href')).toBe('https://shop.test/c?a=1&b=2');
  });

  it('fits a phone, and is dark where that is wanted', async () => {
    const wide = 'w'.repeat(900);
    const id = await storeEmail(database.db, { subject: wide, headers: { 'X-Wide': wide }, text: wide });
    const phone = await browser.tab();
    const screen = { width: 360, height: 740, deviceScaleFactor: 2, mobile: true };
    await phone.send('Emulation.setDeviceMetricsOverride', screen);
    const features = [{ name: 'prefers-color-scheme', value: 'dark' }];
    await phone.send('Emulation.setEmulatedMedia', { features });
    for (const path of ['/inbox', `/inbox/${id}`]) {
      await phone.open(`${development}${path}`);
      expect(await phone.value('document.documentElement.scrollWidth')).toBe(360);
      expect(await phone.value('getComputedStyle(document.body).color')).toBe('rgb(232, 230, 224)');
    }
  });

  it('the search finds, and the button empties the inbox; another site cannot', async () => {
    await storeEmail(database.db, { subject: 'Wanted' });
    await storeEmail(database.db, { subject: 'Other' });
    await tab.open(`${development}/inbox`);
    await tab.follow(`document.querySelector('[name=search]').value = 'wanted';
      document.querySelector('.search button').click()`);
    expect(await tab.value('document.querySelector(".mails").innerText')).toMatch(/^Wanted\n/);

    // localhost is another site than 127.0.0.1, at the same web.
    await tab.open(`${development.replace('127.0.0.1', 'localhost')}/livez`);
    const form = `const form = document.createElement('form'); form.method = 'post'; form.action = '${development}/inbox/empty';
      document.body.append(form); form.submit()`;
    await tab.follow(form);
    expect(await tab.value('document.body.innerText')).toContain('cross_site');

    await tab.open(`${development}/inbox`);
    await tab.follow(`document.querySelector('[method=post] button').click()`);
    await until(async () => ((await inbox()) as { mails: unknown[] }).mails.length === 0, {
      what: 'the inbox to be empty',
    });
    await tab.open(`${development}/inbox`);
    expect(await tab.value('[location.pathname, document.querySelectorAll("#live li").length]')).toEqual([
      '/inbox',
      0,
    ]);
  });

  it('in production the key as a password opens the pages, their frames and the button', async () => {
    await startProduction();
    const id = await storeEmail(database.db, painted);
    const own = await browser.tab();
    await own.open(`${production.replace('http://', `http://any:${productionKey}@`)}/inbox/${id}`);
    await painting(own, 10_000);
    await own.open(`${production}/inbox`);
    await own.follow(`document.querySelector('[method=post] button').click()`);
    const stored = 'select 1 from waybill.inbox_emails';
    await until(async () => (await database.db.executeSql(stored)).rows.length === 0, {
      what: 'the inbox to be empty',
    });
    await own.open(`${production}/inbox`);
    expect(await own.value('document.querySelectorAll("#live li").length')).toBe(0);
  });
});
