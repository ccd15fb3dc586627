// Templates: an email's html and text from a renderer, within a time limit. It runs before the email is recorded, so a template that fails records nothing.

import { WaybillError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import type { Milliseconds } from '../ports.ts';
import { reasonOf } from '../redaction/reason.ts';
import { after } from '../timer.ts';

/** What a template gives: the contents of an email. Spread it into the email. */
export type Rendered = {
  /** Not empty. */
  readonly html: string;
  /** Default: derived from the html at enqueue. */
  readonly text?: string;
};

/** How a template is rendered. */
export type RenderOptions = {
  /** Names the template in errors. */
  readonly name?: string | undefined;
  /** The most time for it, in milliseconds: 1 … 60,000. Default 5,000. */
  readonly timeoutMs?: Milliseconds | undefined;
};

const defaultTimeout: Milliseconds = 5_000;
const longestTimeout: Milliseconds = 60_000;

/**
 * Renders a template of any kind. Call it before the transaction: a slow template would keep its connection.
 * @param name names the template in errors
 * @param render gives `{ html, text }`, at once or as a promise. One that does not give way to the event loop cannot be ended; its result is refused
 * when it comes too late
 * @throws WaybillError `template_failed` with the template's error as its cause; `template_timeout`; `options_invalid`
 */
export async function renderTemplate(
  name: string,
  render: () => Rendered | Promise<Rendered>,
  options: Omit<RenderOptions, 'name'> = {},
): Promise<Rendered> {
  checkOptions('renderTemplate', options, ['timeoutMs']);
  const { timeoutMs = defaultTimeout } = options;
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 1 && timeoutMs <= longestTimeout))
    throw new WaybillError('options_invalid', 'timeoutMs must be a number from 1 to 60,000, in milliseconds');
  const began = performance.now();
  const { html, text } = await within(timeoutMs, name, async () => partsOf(await render()));
  if (performance.now() - began > timeoutMs) throw tooLate(name, timeoutMs);
  if (typeof html !== 'string' || html === '' || !['string', 'undefined'].includes(typeof text))
    throw failed(name, 'it gave no { html, text } with html that is not empty');
  return text === undefined ? { html } : { html, text };
}

/** Read once, because a getter of an engine's result may throw. */
function partsOf(rendered: Rendered): Partial<Rendered> {
  const { html, text } = (rendered ?? {}) as Partial<Rendered>;
  return { html, text } as Partial<Rendered>;
}

async function within<T>(ms: Milliseconds, name: string, render: () => Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = after(ms, () => reject(tooLate(name, ms)));
  const rendering = render().catch((error: unknown) => {
    throw failed(name, reasonOf(error, { bare: true }), error);
  });
  try {
    return await Promise.race([rendering, late]);
  } finally {
    timer.stop();
  }
}

function failed(name: string, why: string, cause?: unknown): WaybillError {
  const message = `the template ${shown(name)} failed, and nothing was recorded: ${why}`;
  return new WaybillError('template_failed', message, [], cause === undefined ? undefined : { cause });
}

function tooLate(name: string, ms: Milliseconds): WaybillError {
  return new WaybillError(
    'template_timeout',
    `the template ${shown(name)} took longer than ${ms} ms, and nothing was recorded: make it faster, or give it a higher timeoutMs`,
  );
}

const shown = (name: string): string => JSON.stringify(String(name).slice(0, 100));
