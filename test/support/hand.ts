// A person at the console in a browser, by keys and forms. Each page that opens, and each act, is a step and is counted.

import type { Tab } from './chromium.ts';
import { until } from './wait.ts';

export type Hand = {
  /** Pages that were opened, and acts that were done. */
  steps(): number;
  /** Presses keys that lead to another page. */
  go(...keys: readonly string[]): Promise<void>;
  /** Searches for this: one step. */
  search(text: string): Promise<void>;
  /** Presses keys that stay on the page. */
  press(...keys: readonly string[]): Promise<void>;
  /** Goes to the row that has this text with `j`, and opens it with Enter. */
  openRow(text: string): Promise<void>;
  /** Clicks a link in the row that has this text. @param href its beginning */
  follow(text: string, href: string): Promise<void>;
  fill(selector: string, text: string): Promise<void>;
  /** Sends a form. */
  submit(selector: string): Promise<void>;
  /** Reads the page again until it has this text; the page does that by itself, too. */
  see(text: string | RegExp): Promise<string>;
};

const quoted = JSON.stringify;

export function handAt(tab: Tab): Hand {
  let steps = 0;
  const document = (): Promise<number> => tab.value<number>('performance.timeOrigin');
  const isThere = (): Promise<boolean> => tab.value<boolean>(`document.readyState === 'complete'`);

  async function press(...keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const text = key.length === 1 ? { text: key } : key === 'Enter' ? { text: '\r' } : {};
      await tab.send('Input.dispatchKeyEvent', { type: 'keyDown', key, ...text });
      await tab.send('Input.dispatchKeyEvent', { type: 'keyUp', key });
    }
  }

  /** Until another page is there. */
  async function leading(act: () => Promise<unknown>): Promise<void> {
    const before = await document();
    await act();
    await until(async () => (await document()) !== before && (await isThere()), { what: 'the next page' });
    steps += 1;
  }

  const rowsWith = (text: string): string =>
    `[...document.querySelectorAll('#live tbody tr')].findIndex((row) => row.textContent.includes(${quoted(text)}))`;

  return {
    steps: () => steps,
    press,
    go: (...keys) => leading(() => press(...keys)),
    search: (text) =>
      leading(async () => {
        await press('/');
        await tab.send('Input.insertText', { text });
        await press('Enter');
      }),
    async openRow(text) {
      await until(async () => (await tab.value<number>(rowsWith(text))) >= 0, { what: `a row with ${text}` });
      const at = await tab.value<number>(rowsWith(text));
      await press(...Array.from({ length: at + 1 }, () => 'j'));
      await leading(() => press('Enter'));
    },
    follow: (text, href) =>
      leading(() =>
        tab.value(
          `[...document.querySelectorAll('#live tbody tr')].find((row) => row.textContent.includes(${quoted(text)})).querySelector(${quoted(`a[href^="${href}"]`)}).click()`,
        ),
      ),
    fill: async (selector, text) =>
      void (await tab.value(`document.querySelector(${quoted(selector)}).value = ${quoted(text)}`)),
    submit: (selector) =>
      leading(() => tab.value(`document.querySelector(${quoted(selector)}).requestSubmit()`)),
    async see(text) {
      let shown = '';
      const isShown = async (): Promise<boolean> => {
        shown = await tab.value<string>(`document.querySelector('main').textContent`);
        if (typeof text === 'string' ? shown.includes(text) : text.test(shown)) return true;
        await tab.follow('location.reload()');
        return false;
      };
      await until(isShown, { what: `the page to show ${text}` }).catch((error: unknown) => {
        throw new Error(`the page shows ${shown.replaceAll(/\s+/g, ' ').slice(0, 2_000)}`, { cause: error });
      });
      return shown;
    },
  };
}
