// A real browser without a window, driven over its own protocol (chromedevtools.github.io/devtools-protocol). Debian's package
// chromium-headless-shell or chromium; `.ci/run` installs it.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from './wait.ts';
import { tied } from './tied.ts';

const binary = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome']
  .map((name) => `/usr/bin/${name}`)
  .find((path) => existsSync(path));

export const hasChromium = binary !== undefined;

export type Tab = {
  /** Goes to an address and waits until all of the page is there, frames included. */
  open(url: string): Promise<void>;
  /** Does something that leads to another page, and waits for that one. */
  follow(expression: string): Promise<void>;
  /** The value of an expression in the page. */
  value<T>(expression: string): Promise<T>;
  send(method: string, params?: object): Promise<Record<string, unknown>>;
  /** How many pixels of the page as it is shown have this colour. */
  pixels(colour: readonly [number, number, number]): Promise<number>;
};

export type Browser = { tab(): Promise<Tab>; close(): Promise<void> };

type Answer = {
  id?: number;
  method?: string;
  sessionId?: string;
  params?: { name?: string; frameId: string; loaderId: string };
  result?: object;
  error?: { message: string };
};
type Wire = {
  send(method: string, params: object, sessionId?: string): Promise<Record<string, unknown>>;
  /** Hears of each document that has loaded in a tab, frames included: its frame, and an id of its own. */
  onLoad(sessionId: string, listener: (frame: string, document: string) => void): void;
  end(): void;
};

export async function startChromium(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'chromium-'));
  const args = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--force-color-profile=srgb',
    '--no-first-run',
  ];
  const port = ['--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'];
  const child = tied(spawn(binary!, [...args, ...port], { stdio: ['ignore', 'ignore', 'pipe'] }));
  const ended = new Promise((resolve) => child.once('close', resolve));
  const wire = await connect(await addressOf(child));
  return {
    tab: () => openTab(wire),
    async close() {
      const asked = wire.send('Browser.close', {}).catch(() => undefined);
      const killing = setTimeout(() => child.kill('SIGKILL'), 10_000); // it does not always end with a stream open
      await Promise.race([asked, ended]); // it may be gone before it answers
      wire.end();
      await ended;
      clearTimeout(killing);
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    createInterface({ input: child.stderr! }).on('line', (line) => {
      said.push(line);
      const [, address] = /DevTools listening on (ws:\S+)/.exec(line) ?? [];
      if (address !== undefined) resolve(address);
    });
    child.once('close', () => reject(new Error(`chromium ended: ${said.join('\n')}`)));
  });
}

async function connect(address: string): Promise<Wire> {
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', reject, { once: true });
  });
  let last = 0;
  const asked = new Map<number, (answer: Answer) => void>();
  const listeners = new Map<string, (frame: string, document: string) => void>();
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data)) as Answer;
    if (answer.id !== undefined) return asked.get(answer.id)?.(answer);
    const { method, params, sessionId = '' } = answer;
    if (method === 'Page.lifecycleEvent' && params?.name === 'load')
      listeners.get(sessionId)?.(params.frameId, params.loaderId);
  });
  return {
    send: (method, params, sessionId) =>
      new Promise((resolve, reject) => {
        const id = ++last;
        asked.set(id, ({ result = {}, error }) => {
          asked.delete(id);
          if (error) reject(new Error(`${method}: ${error.message}`));
          else resolve(result as Record<string, unknown>);
        });
        socket.send(JSON.stringify({ id, method, params, sessionId }));
      }),
    onLoad: (sessionId, listener) => void listeners.set(sessionId, listener),
    end: () => socket.close(),
  };
}

async function openTab(wire: Wire): Promise<Tab> {
  const { targetId } = await wire.send('Target.createTarget', { url: 'about:blank' });
  const attached = await wire.send('Target.attachToTarget', { targetId, flatten: true });
  const session = attached['sessionId'] as string;
  const send = (method: string, params: object = {}) => wire.send(method, params, session);
  const loaded = new Set<string>();
  wire.onLoad(session, (frame, document) => frame === targetId && loaded.add(document));
  await send('Page.enable');
  await send('Page.setLifecycleEventsEnabled', { enabled: true });

  async function value<T>(expression: string): Promise<T> {
    const answer = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    const { exceptionDetails, result } = answer as {
      exceptionDetails?: { exception?: { description?: string } };
      result: { value: T };
    };
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? 'it threw');
    return result.value;
  }
  return {
    send,
    value,
    async open(url) {
      const { loaderId, errorText } = await send('Page.navigate', { url });
      if (errorText !== undefined) throw new Error(`${url}: ${JSON.stringify(errorText)}`);
      await until(() => loaded.has(loaderId as string), { what: `the load of ${url}` });
    },
    async follow(expression) {
      const { size } = loaded; // of a document that is there, all is there
      await value(expression);
      await until(() => loaded.size > size, { what: 'the next page' });
    },
    async pixels(colour) {
      const { data } = await send('Page.captureScreenshot', { format: 'png' });
      const blank = await openTab(wire);
      return blank.value<number>(`(${counting})('${String(data)}', [${colour.join()}])`);
    },
  };
}

/** In a tab of its own: the page itself may not read its picture. */
const counting = `async (data, [r, g, b]) => {
  const bitmap = await createImageBitmap(await (await fetch('data:image/png;base64,' + data)).blob());
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
  context.drawImage(bitmap, 0, 0);
  const dots = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  let count = 0;
  for (let i = 0; i < dots.length; i += 4) if (dots[i] === r && dots[i + 1] === g && dots[i + 2] === b) count += 1;
  return count;
}`;
