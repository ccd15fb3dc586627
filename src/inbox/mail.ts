// One mail as an HTML page: its html in a sandboxed frame, its text, its headers and its attachments.

import type { StoredAttachment, StoredEmail } from '../email/mailbox.ts';
import { markup, linked, type Markup } from '../console/markup.ts';
import { page, time } from './page.ts';

export function mailPage(mail: StoredEmail): string {
  const { id, subject, attachments, text } = mail;
  const content = markup`<nav><a href="/inbox">Inbox</a></nav>
    <h1><bdi>${subject === '' ? '(no subject)' : subject}</bdi></h1>
    <dl>
      <dt>From</dt><dd><bdi>${mail.from}</bdi></dd>
      <dt>To</dt><dd>${mail.recipients.map((one) => markup`<div><bdi>${one}</bdi></div>`)}</dd>
      <dt>Stored</dt><dd>${time(mail.storedAt)}</dd>
      <dt>Message</dt><dd>${id}</dd>
    </dl>
    ${attachments.length === 0 ? null : markup`<h2>Attachments</h2><ul>${attachments.map((one) => download(id, one))}</ul>`}
    ${mail.html === null ? null : frame(id)}
    ${text === null ? null : markup`<h2>Text</h2><pre>${linked(text)}</pre>`}
    <h2>Headers</h2>
    <pre>${mail.headers.map(({ name, value }) => markup`${name}: ${value}\n`)}</pre>
    <nav><a href="/inbox/${id}/source">Source</a></nav>`;
  return page(subject === '' ? 'Inbox' : subject, content);
}

function frame(id: string): Markup {
  const address = `/inbox/${id}/html`;
  return markup`<h2>Html</h2>
    <iframe sandbox src="${address}" title="The mail's html" referrerpolicy="no-referrer"></iframe>
    <nav><a href="${address}" target="_blank" rel="noopener noreferrer">Html alone</a></nav>`;
}

function download(id: string, { index, filename, contentType }: StoredAttachment): Markup {
  return markup`<li>
    <a href="/inbox/${id}/attachments/${index}" download><bdi>${filename}</bdi></a>
    ${contentType === null ? null : markup`<span class="faint">${contentType}</span>`}
  </li>`;
}
