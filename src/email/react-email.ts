// Templates of React Email (react.email): components become html and text. Only the entry point `waybill/react-email` imports this file.

import { render } from '@react-email/render';
import { checkOptions } from '../options.ts';
import { renderTemplate, type Rendered, type RenderOptions } from './template.ts';

/**
 * Renders a component of React Email. It needs the packages `@react-email/render`, `react` and `react-dom`.
 * @param element such as `<Welcome name="Ann" />`
 * @param options `name`: default: the name of the component
 * @throws WaybillError `template_failed` with the component's error as its cause; `template_timeout`; `options_invalid`
 */
export async function renderReactEmail(
  element: Parameters<typeof render>[0],
  options: RenderOptions = {},
): Promise<Rendered> {
  checkOptions('renderReactEmail', options, ['name', 'timeoutMs']);
  const { name = componentName(element), ...limits } = options;
  const both = async (): Promise<Rendered> => {
    const html = await render(element);
    return { html, text: await render(element, { plainText: true }) };
  };
  return renderTemplate(name, both, limits);
}

function componentName(element: unknown): string {
  const type = (element as { readonly type?: unknown } | null | undefined)?.type;
  if (typeof type === 'string') return type;
  return typeof type === 'function' && type.name !== '' ? type.name : 'react-email';
}
