// One mail of the inbox as a page.

import type { StoredEmail } from '../email/mailbox.ts';
import { clock } from '../console/figures.ts';
import { mailSections } from '../console/mail.ts';
import { markup } from '../console/markup.ts';
import type { View } from '../console/page.ts';

export function mailPage(mail: StoredEmail): View {
  const { id, subject, storedAt } = mail;
  const at = `/inbox/${id}`;
  const facts = markup`<dt>Stored</dt><dd>${clock(storedAt)}</dd><dt>Message</dt><dd><a href="/console/messages/${id}">${id}</a></dd>`;
  const sections = mailSections(
    mail,
    { html: `${at}/html`, source: `${at}/source`, attachment: (index) => `${at}/attachments/${index}` },
    facts,
  );
  return {
    title: subject === '' ? 'Inbox' : subject,
    content: markup`<p class="crumb"><a href="/inbox">Inbox</a></p>
      <h1><bdi>${subject === '' ? '(no subject)' : subject}</bdi></h1><div class="mail">${sections}</div>`,
    commands: [],
    live: false,
  };
}
