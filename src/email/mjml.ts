// Templates of MJML (mjml.io). Only the entry point `waybill/mjml` imports this file.

import mjml2html from 'mjml';
import { checkOptions } from '../options.ts';
import { renderTemplate, type Rendered, type RenderOptions } from './template.ts';

/**
 * Renders MJML. It needs the package `mjml`. The text is derived from the html when the email is recorded.
 * @param source a whole document, from `<mjml>` on. Escape values that you put into it: what they hold becomes markup
 * @param options `name`: default `mjml`; `mjml`: options of mjml itself. Default: any mistake in the document is an error
 * @throws WaybillError `template_failed`, with mjml's error as its cause; `template_timeout`; `options_invalid`
 */
export async function renderMjml(
  source: string,
  options: RenderOptions & { readonly mjml?: Parameters<typeof mjml2html>[1] } = {},
): Promise<Rendered> {
  checkOptions('renderMjml', options, ['name', 'timeoutMs', 'mjml']);
  const { name = 'mjml', mjml, ...limits } = options;
  const render = async (): Promise<Rendered> => {
    const { html } = await mjml2html(source, { validationLevel: 'strict', ...mjml });
    return { html };
  };
  return renderTemplate(name, render, limits);
}
