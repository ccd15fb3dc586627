// The entry point `waybill/mjml`, for emails whose templates are MJML.

/**
 * Emails from MJML.
 *
 * @module waybill/mjml
 */

import './node-version.ts';
export { renderMjml } from './email/mjml.ts';
export type { Rendered, RenderOptions } from './email/template.ts';
