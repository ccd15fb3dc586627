// Templates of MJML (mjml.io). Only the entry point `waybill/mjml` imports this file.

import mjml2html from 'mjml';
import { checkOptions } from '../options.ts';
import { renderTemplate, type Rendered, type RenderOptions } from './template.ts';

/**
 * Renders MJML. It needs the package `mjml`. The text is derived from the html when the email is recorded.
 * @param source a whole document, from `<mjml>` on. Escape values that you put into it: what they hold becomes markup
 * @param options `name`: default `mjml`; `mjml`: options of mjml itself. Default: any mistake in the document is an error, and no file is read
 * for `<mj-include>`
 * @throws WaybillError `template_failed`, with the mistakes as its cause; `template_timeout`; `options_invalid`
 */
export async function renderMjml(
  source: string,
  options: RenderOptions & { readonly mjml?: Parameters<typeof mjml2html>[1] } = {},
): Promise<Rendered> {
  checkOptions('renderMjml', options, ['name', 'timeoutMs', 'mjml']);
  const { name = 'mjml', mjml, ...limits } = options;
  const render = async (): Promise<Rendered> => {
    const { html } = await mjml2html(source, settingsOf(mjml));
    return { html };
  };
  const plain = async (): Promise<Rendered> =>
    render().catch((error: unknown) => Promise.reject(plainly(error)));
  return renderTemplate(name, plain, limits);
}

type Settings = NonNullable<Parameters<typeof mjml2html>[1]>;

/** mjml 4 reads the files of <mj-include> by default, so a value in the source could put any file of this host into the email. */
export const settingsOf = (given: Settings = {}): Settings => ({
  validationLevel: 'strict',
  ignoreIncludes: true,
  ...given,
});

type Mistake = { readonly line: number; readonly tagName: string; readonly message: string };

/** mjml's own message begins each line with the working directory and is followed by the same mistakes as a list. */
function plainly(error: unknown): unknown {
  const { errors } = error as { readonly errors?: readonly Mistake[] };
  if (!Array.isArray(errors) || errors.length === 0) return error;
  const lines = (errors as readonly Mistake[]).map(
    ({ line, tagName, message }) => `line ${line}, ${tagName}: ${message}`,
  );
  return new Error(lines.join('; '));
}
