// Templates of React Email (react.email): components become html and text. Only the entry point `waybill/react-email` imports this file.

import { render, toPlainText } from '@react-email/render';
import { checkOptions } from '../options.ts';
import { renderTemplate, type Rendered, type RenderOptions } from './template.ts';

/**
 * Renders a component of React Email. It needs the packages `@react-email/render`, `react` and `react-dom`.
 * @param element such as `<Welcome name="Ann" />`
 * @param options `name`: default: the name of the component
 * @throws WaybillError `template_failed` with the component's error as its cause, or because nothing was rendered; `template_timeout`; `options_invalid`
 */
export async function renderReactEmail(
  element: Parameters<typeof render>[0],
  options: RenderOptions = {},
): Promise<Rendered> {
  checkOptions('renderReactEmail', options, ['name', 'timeoutMs']);
  const { name = componentName(element), ...limits } = options;
  return renderTemplate(name, () => both(element), limits);
}

/** The text is made from the html: a second rendering could differ, by a time or a random value. */
async function both(element: Parameters<typeof render>[0]): Promise<Rendered> {
  if (typeof element === 'function')
    throw new TypeError('it is a component: give an element, such as <Welcome />');
  const html = await render(element);
  const text = toPlainText(html);
  // React renders undefined, null and false, and a component that returns them, as nothing but a doctype and comments.
  if (text === '' && !/<[a-z]/i.test(html))
    throw new TypeError('nothing was rendered: give an element whose component returns one');
  return text === '' ? { html } : { html, text };
}

function componentName(element: unknown): string {
  const type: unknown =
    typeof element === 'function'
      ? element
      : (element as { readonly type?: unknown } | null | undefined)?.type;
  if (typeof type === 'string') return type;
  return typeof type === 'function' && type.name !== '' ? type.name : 'react-email';
}
