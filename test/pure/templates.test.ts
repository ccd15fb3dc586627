// Templates: the real packages of React Email and MJML, and an outbox in memory. No clock is doubled: a template that takes too long is one that never ends.

import { createElement, type ReactElement } from 'react';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { settingsOf } from '../../src/email/mjml.ts';
import { createMemoryOutbox, defineAction, enqueueEmail, renderTemplate } from '../../src/index.ts';
import { renderMjml } from '../../src/mjml.ts';
import { renderReactEmail } from '../../src/react-email.ts';
import { runAction } from '../../src/testing.ts';

const mjml = (text: string): string =>
  `<mjml><mj-body><mj-section><mj-column><mj-text>${text}</mj-text></mj-column></mj-section></mj-body></mjml>`;

const Welcome = ({ name }: { readonly name: string }): ReactElement =>
  createElement('html', null, createElement('p', null, `Welcome, ${name} <3`));
const Broken = (): ReactElement => {
  throw new TypeError('name is undefined');
};
const never = (): Promise<never> => new Promise(() => undefined);

describe('React Email', () => {
  it('gives html and text, with values escaped', async () => {
    const { html, text } = await renderReactEmail(createElement(Welcome, { name: 'Ann' }));
    expect(html).toMatch(/<p>Welcome, Ann &lt;3<\/p>/);
    expect(text).toBe('Welcome, Ann <3');
  });

  it('a component that throws is an error that names it, with its own as the cause', async () => {
    await expect(renderReactEmail(createElement(Broken))).rejects.toMatchObject({
      code: 'template_failed',
      message: expect.stringMatching(
        /^the template "Broken" failed, and nothing was recorded: .*name is undefined/,
      ) as string,
      cause: expect.any(TypeError) as TypeError,
    });
  });

  it('is rendered once, so html and text are the same', async () => {
    let renderings = 0;
    const Counted = (): ReactElement => createElement('p', null, `rendering ${(renderings += 1)}`);
    const { html, text } = await renderReactEmail(createElement(Counted));
    expect([html.includes('rendering 1'), text, renderings]).toEqual([true, 'rendering 1', 1]);
  });

  it.each([
    ['a component', Welcome, /^the template "Welcome" failed, .*: it is a component: give an element/],
    ['undefined', undefined, /nothing was rendered/],
    ['null', null, /nothing was rendered/],
    ['a component that returns null', createElement(() => null), /nothing was rendered/],
  ])('%s is an error, not a blank email', async (_, element, message) => {
    await expect(renderReactEmail(element as never)).rejects.toMatchObject({
      code: 'template_failed',
      message: expect.stringMatching(message) as string,
    });
  });

  it('an image alone is an email without a text', async () => {
    expect(await renderReactEmail(createElement('img', { src: 'https://a.test' }))).toEqual({
      html: expect.stringContaining('<img') as string,
    });
  });

  it('one that waits for ever ends with its time limit', async () => {
    const Slow = async (): Promise<never> => never();
    const rendering = renderReactEmail(createElement(Slow as never), { name: 'slow', timeoutMs: 20 });
    await expect(rendering).rejects.toMatchObject({
      code: 'template_timeout',
      message: expect.stringMatching(/"slow" took longer than 20 ms/) as string,
    });
  });
});

describe('MJML', () => {
  it('gives html, and the email gets a text from it', async () => {
    const rendered = await renderMjml(mjml('Thank you!'));
    expect(rendered.html).toMatch(/<!doctype html>/i);
    const outbox = createMemoryOutbox();
    await enqueueEmail(outbox, { from: 'shop@shop.test', to: 'ann@b.test', subject: 's', ...rendered });
    expect(outbox.messages[0]!.payload).toMatchObject({
      text: expect.stringMatching(/Thank you!/) as string,
    });
  });

  it('no file is read for <mj-include>, unless the author says so', () => {
    // mjml 4 reads it by default; only mjml 5, which does not, is installed.
    expect(settingsOf()).toEqual({ validationLevel: 'strict', ignoreIncludes: true });
    expect(settingsOf({ ignoreIncludes: false })).toMatchObject({ ignoreIncludes: false });
  });

  it('each mistake is named once, with its line, and no folder of this host', async () => {
    const source = '<mjml><mj-body><mj-nothing/>\n<mj-section foo="1"></mj-section></mj-body></mjml>';
    await expect(renderMjml(source, { name: 'receipt' })).rejects.toMatchObject({
      message:
        'the template "receipt" failed, and nothing was recorded: ' +
        "line 1, mj-nothing: Element mj-nothing doesn't exist or is not registered; line 2, mj-section: Attribute foo is illegal",
    });
  });

  it.each([
    ['an unknown tag', '<mjml><mj-body><mj-nothing/></mj-body></mjml>'],
    ['no MJML', 'Hello'],
    ['nothing', ''],
  ])('%s is an error that names the template', async (_, source) => {
    await expect(renderMjml(source, { name: 'receipt' })).rejects.toMatchObject({
      code: 'template_failed',
      message: expect.stringMatching(/^the template "receipt" failed, and nothing was recorded: ./) as string,
    });
  });
});

describe('any engine', () => {
  it('a result that throws when it is read is a failure of the template', async () => {
    const broken = {
      get html(): string {
        throw new TypeError('not rendered yet');
      },
    };
    await expect(renderTemplate('t', () => broken)).rejects.toMatchObject({
      code: 'template_failed',
      cause: expect.any(TypeError) as TypeError,
    });
  });

  it.each([
    ['nothing', undefined],
    ['empty html', { html: '' }],
    ['html that is no text', { html: 5 }],
    ['a text that is none', { html: '<p>a</p>', text: 5 }],
  ])('%s is refused', async (_, given) => {
    await expect(renderTemplate('t', () => given as never)).rejects.toMatchObject({
      code: 'template_failed',
    });
  });

  it('one that blocks the event loop for too long is refused when it ends', async () => {
    const busy = (): { html: string } => {
      const end = performance.now() + 30;
      while (performance.now() < end);
      return { html: '<p>late</p>' };
    };
    await expect(renderTemplate('busy', busy, { timeoutMs: 5 })).rejects.toMatchObject({
      code: 'template_timeout',
    });
  });

  it.each([[0], [60_001], [Number.NaN], ['500' as never]])(
    'a time limit of %s ms is refused',
    async (timeoutMs) => {
      await expect(renderTemplate('t', () => ({ html: 'a' }), { timeoutMs })).rejects.toMatchObject({
        code: 'options_invalid',
      });
    },
  );

  it('an unknown option is refused with the known ones', async () => {
    await expect(renderMjml(mjml('a'), { timeout: 5 } as never)).rejects.toMatchObject({
      code: 'options_invalid',
      message: expect.stringMatching(/timeoutMs/) as string,
    });
  });
});

it('an action whose template fails records nothing', async () => {
  const outbox = createMemoryOutbox();
  const welcome = defineAction({
    name: 'welcome',
    access: 'public',
    args: z.object({}),
    async handler(ctx) {
      const email = { from: 'shop@shop.test', to: 'ann@b.test', subject: 's' };
      await ctx.email.enqueue({ ...email, text: 'first' });
      await ctx.email.enqueue({ ...email, ...(await renderReactEmail(createElement(Broken))) });
    },
  });
  await expect(runAction(welcome, {}, { outbox })).rejects.toMatchObject({ code: 'template_failed' });
  expect(outbox.messages).toEqual([]);
});
