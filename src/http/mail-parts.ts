// How parts of a mail are served, to the inbox and to the console: none of them does anything in a browser.

import { mailPolicy } from '../console/mail.ts';
import { WaybillError } from '../errors.ts';

/** Headers of what comes from a mail: whatever it is, it does nothing. */
export const inert = {
  'content-security-policy': mailPolicy,
  'referrer-policy': 'no-referrer',
  'x-dns-prefetch-control': 'off',
};

/** @throws WaybillError `not_found` */
export function indexOf(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new WaybillError('not_found', 'the mail has no attachment of this number');
}

/** The browser must save the file, never show it, whatever its type. RFC 8187 for the name. */
export function asFile(filename: string): Record<string, string> {
  const name = encodeURIComponent(filename.toWellFormed()).replaceAll(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16)}`,
  );
  return {
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename*=UTF-8''${name}`,
  };
}
