// The inbox's list as a page: newest first, with a search and a button that empties the inbox.

import type { StoredLine, StoredPage } from '../email/mailbox.ts';
import { markup, type Markup } from '../console/markup.ts';
import { clock, shown } from '../console/figures.ts';
import { size } from '../console/mail.ts';
import type { View } from '../console/page.ts';

export type Listing = StoredPage & {
  readonly search: string;
  /** Whether there is a page with newer mails. */
  readonly later: boolean;
};

export function listPage({ mails, nextCursor, search, later }: Listing): View {
  const content = markup`<h1>Inbox</h1>
    <form class="filter search" action="/inbox">
      <input type="search" name="search" value="${search}" placeholder="Recipient or subject" aria-label="Recipient or subject" />
      <button>Search</button>
    </form>
    ${mails.length === 0 ? nothing(search) : markup`<ul class="plain mails">${mails.map(line)}</ul>`}
    <nav class="pages" aria-label="Pages">
      ${later ? markup`<a href="${address(search)}">Newest</a>` : null}
      ${nextCursor === null ? null : markup`<a href="${address(search, nextCursor)}" rel="next">Older</a>`}
    </nav>
    <form method="post" action="/inbox/empty"><button>Empty the inbox</button></form>`;
  return { title: 'Inbox', content, commands: [], live: !later };
}

function address(search: string, cursor?: string): string {
  const query = new URLSearchParams({ ...(search && { search }), ...(cursor && { cursor }) }).toString();
  return query === '' ? '/inbox' : `/inbox?${query}`;
}

function nothing(search: string): Markup {
  return search === ''
    ? markup`<p class="empty">No mail yet: what the application sends appears here.</p>`
    : markup`<p class="empty">No mail whose recipients or subject have <b>${shown(search)}</b> in them.</p>`;
}

const shownRecipients = 3;

function line({ id, from, recipients, subject, storedAt, bytes }: StoredLine): Markup {
  const more = recipients.length - shownRecipients;
  const to = recipients.slice(0, shownRecipients).join(', ') + (more > 0 ? ` and ${more} more` : '');
  return markup`<li>
    <a href="/inbox/${id}">${shown(subject === '' ? '(no subject)' : subject)}</a>
    <small>${clock(storedAt)} · to ${shown(to)} · from ${shown(from)} · ${size(bytes)}</small>
  </li>`;
}
