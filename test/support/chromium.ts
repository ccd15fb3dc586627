// A real browser without a window, driven over its own protocol (chromedevtools.github.io/devtools-protocol). Debian's package
// chromium-headless-shell or chromium; `.ci/run` installs it.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

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
  result?: object;
  error?: { message: string };
};
type Wire = {
  send(method: string, params: object, sessionId?: string): Promise<Record<string, unknown>>;
  /** Resolves at the next event of this name. */
  next(method: string, sessionId: string): Promise<void>;
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
  const child = spawn(binary!, [...args, ...port], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const wire = await connect(await addressOf(child));
  return {
    tab: () => openTab(wire),
    async close() {
      await wire.send('Browser.close', {}).catch(() => undefined); // it may be gone before it answers
      wire.end();
      await ended;
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
  const awaited = new Map<string, () => void>();
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data)) as Answer;
    if (answer.id !== undefined) return asked.get(answer.id)?.(answer);
    const name = `${answer.sessionId} ${answer.method}`;
    awaited.get(name)?.();
    awaited.delete(name);
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
    next: (method, sessionId) =>
      new Promise((resolve) => awaited.set(`${sessionId} ${method}`, () => resolve())),
    end: () => socket.close(),
  };
}

async function openTab(wire: Wire): Promise<Tab> {
  const { targetId } = await wire.send('Target.createTarget', { url: 'about:blank' });
  const attached = await wire.send('Target.attachToTarget', { targetId, flatten: true });
  const session = attached['sessionId'] as string;
  const send = (method: string, params: object = {}) => wire.send(method, params, session);
  await send('Page.enable');

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
      const loaded = wire.next('Page.loadEventFired', session);
      const { errorText } = await send('Page.navigate', { url });
      if (errorText !== undefined) throw new Error(`${url}: ${String(errorText)}`);
      await loaded;
    },
    async follow(expression) {
      const loaded = wire.next('Page.loadEventFired', session);
      await value(expression);
      await loaded;
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
