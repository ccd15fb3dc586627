// The inbox's list as an HTML page: newest first, with a search and a button that empties the inbox.

import type { StoredLine, StoredPage } from '../email/mailbox.ts';
import { markup, type Markup } from '../console/markup.ts';
import { page, time } from './page.ts';

export type Listing = StoredPage & {
  readonly search: string;
  /** Whether there is a page with newer mails. */
  readonly later: boolean;
};

export function listPage({ mails, nextCursor, search, later }: Listing): string {
  const content = markup`<h1>Inbox</h1>
    <form class="search" action="/inbox">
      <input type="search" name="search" value="${search}" placeholder="Recipient or subject" aria-label="Recipient or subject" />
      <button>Search</button>
    </form>
    ${mails.length === 0 ? nothing(search) : markup`<ul class="mails">${mails.map(line)}</ul>`}
    <nav>
      ${later ? markup`<a href="${address(search)}">Newest</a>` : null}
      ${nextCursor === null ? null : markup`<a href="${address(search, nextCursor)}" rel="next">Older</a>`}
    </nav>
    <form method="post" action="/inbox/empty"><button>Empty the inbox</button></form>`;
  return page('Inbox', content);
}

function address(search: string, cursor?: string): string {
  const query = new URLSearchParams({ ...(search && { search }), ...(cursor && { cursor }) }).toString();
  return query === '' ? '/inbox' : `/inbox?${query}`;
}

function nothing(search: string): Markup {
  return search === ''
    ? markup`<p>No mail yet: what the application sends appears here.</p>`
    : markup`<p>No mail whose recipients or subject have <b><bdi>${search}</bdi></b> in them.</p>`;
}

const shownRecipients = 3;

function line({ id, from, recipients, subject, storedAt, bytes }: StoredLine): Markup {
  const more = recipients.length - shownRecipients;
  const to = recipients.slice(0, shownRecipients).join(', ') + (more > 0 ? ` and ${more} more` : '');
  return markup`<li>
    <a href="/inbox/${id}"><bdi>${subject === '' ? '(no subject)' : subject}</bdi></a>
    <div><bdi>${to}</bdi></div>
    <div class="faint">${time(storedAt)} · from <bdi>${from}</bdi> · ${size(bytes)}</div>
  </li>`;
}

function size(bytes: number): string {
  return bytes < 10_000 ? `${bytes} bytes` : `${Math.round(bytes / 1_000)} kB`;
}
