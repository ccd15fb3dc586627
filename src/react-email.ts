// The entry point `waybill/react-email`, for emails whose templates are components of React Email.

/**
 * Emails from components of React Email.
 *
 * @module waybill/react-email
 */

import './node-version.ts';
export { renderReactEmail } from './email/react-email.ts';
export type { Rendered, RenderOptions } from './email/template.ts';
