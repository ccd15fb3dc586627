// A mail as pages show it, in the console and in the inbox: its html in a sandboxed frame, its text, headers, attachments and source.

import type { HeaderLines } from '../email/source.ts';
import { visibleLine, visibleText } from '../redaction/visible.ts';
import { number, shown } from './figures.ts';
import { linked, markup, type Markup } from './markup.ts';

export type MailParts = {
  /** From the envelope, like `recipients`. */
  readonly from: string;
  readonly recipients: readonly string[];
  readonly subject: string;
  readonly html: string | null;
  readonly text: string | null;
  readonly headers: HeaderLines;
  readonly attachments: readonly {
    readonly filename: string;
    readonly contentType?: string | null | undefined;
    readonly cid?: string | null | undefined;
    readonly bytes: number;
  }[];
};

/** Where the parts are served. */
export type MailAddresses = {
  readonly html: string;
  readonly source: string;
  readonly attachment: (index: number) => string;
};

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

/** @param facts terms of a list, beside subject, sender and recipients */
export function mailSections(mail: MailParts, at: MailAddresses, facts: Markup = markup``): Markup {
  const { html, text, headers, attachments } = mail;
  return markup`<dl class="facts">
      <dt>Subject</dt><dd>${line(mail.subject === '' ? '(no subject)' : mail.subject)}</dd>
      <dt>From</dt><dd>${line(mail.from)}</dd>
      <dt>To</dt><dd>${mail.recipients.map((one) => markup`<div>${line(one)}</div>`)}</dd>${facts}</dl>
    ${attachments.length === 0 ? null : markup`<h2>Attachments</h2><ul class="plain">${attachments.map((one, i) => file(one, at.attachment(i)))}</ul>`}
    ${html === null ? null : frame(html, at.html)}
    ${text === null ? null : markup`<h2>Text</h2><pre tabindex="0">${linked(visibleText(text))}</pre>`}
    <h2>Headers</h2>
    <pre tabindex="0">${headers.map(({ name, value }) => markup`${visibleLine(name)}: ${visibleLine(value)}\n`)}</pre>
    <p><a href="${at.source}">Source</a> <small>as it is sent (RFC 5322)</small></p>`;
}

/** Whole, because a header may be long and each of its letters matter. */
function line(text: string): Markup {
  return markup`<bdi>${visibleLine(text)}</bdi>`;
}

function frame(html: string, address: string): Markup {
  const blocked = remoteParts(html);
  const what = blocked === 1 ? 'One image or style' : `${number(blocked)} images or styles`;
  return markup`<h2>Html</h2>
    <iframe sandbox src="${address}" title="The mail's html" referrerpolicy="no-referrer"></iframe>
    ${blocked === 0 ? null : markup`<p class="soft">${what} from elsewhere blocked: loading would tell another server that somebody looks.</p>`}`;
}

const remote =
  /\b(?:src|srcset|background|poster)\s*=\s*(?:["']\s*)?(?:https?:)?\/\/|url\(\s*(?:["']\s*)?(?:https?:)?\/\/|<link\b/gi;

/** About how many parts of the html a mail program might load from another server. */
function remoteParts(html: string): number {
  return html.match(remote)?.length ?? 0;
}

function file(
  { filename, contentType, cid, bytes }: MailParts['attachments'][number],
  address: string,
): Markup {
  const more = [contentType ?? '', size(bytes), cid ? 'shown in the html' : ''].filter((one) => one !== '');
  return markup`<li><a href="${address}" download>${shown(filename, 255)}</a> <small>${shown(more.join(' · '), 400)}</small></li>`;
}

export function size(bytes: number): string {
  return bytes < 10_000 ? `${number(bytes)} bytes` : `${number(bytes / 1_000)} kB`;
}
