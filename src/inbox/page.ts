// The frame of every inbox page, and its content security policy: no scripts and no external resources.

import { createHash } from 'node:crypto';
import type { StoredLine } from '../email/mailbox.ts';
import { markup, type Markup } from '../console/markup.ts';

const style = `
:root { color-scheme: light dark; --line: #8886; --faint: #666; }
@media (prefers-color-scheme: dark) { :root { --faint: #aaa; } a { color: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
ul { list-style: none; margin: 0; padding: 0; }
.mails li { border-top: 1px solid var(--line); padding: .6rem 0; }
.faint { color: var(--faint); font-size: .875rem; }
nav, .search { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .75rem 0; }
input, button { font: inherit; padding: .4rem .6rem; } input { flex: 1 1 12rem; min-width: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .75rem; margin: 0; } dd { margin: 0; }
dt { color: var(--faint); }
iframe { width: 100%; height: 70vh; border: 1px solid var(--line); background: #fff; color-scheme: light; resize: vertical; }
pre { white-space: pre-wrap; border: 1px solid var(--line); padding: .75rem; margin: 0; font-size: .875rem; }
`;

const hash = createHash('sha256').update(style).digest('base64');

/** The policy of the inbox's own pages. */
export const pagePolicy = [
  "default-src 'none'",
  `style-src 'sha256-${hash}'`,
  "frame-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * The policy of a mail's html, wherever it is opened: only its own styles and embedded images.
 * `sandbox` gives it a separate origin and forbids scripts, forms, windows and navigation of the parent.
 */
export const mailPolicy = [
  "default-src 'none'",
  'img-src data:',
  "style-src 'unsafe-inline'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'self'",
  'sandbox',
].join('; ');

export function page(title: string, content: Markup): string {
  return markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>${{ markup: style }}</style>
      </head>
      <body>
        ${content}
      </body>
    </html>`.markup;
}

export function time(at: StoredLine['storedAt']): Markup {
  if (typeof at === 'string') return markup`${at}`;
  const iso = at.toISOString();
  return markup`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')} UTC</time>`;
}
