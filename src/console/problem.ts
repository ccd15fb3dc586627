// What a page shows when something is wrong: what happened and what to do, in the words of the error.

import { shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import type { View } from './page.ts';

export type Fault = { readonly status: number; readonly code: string; readonly detail: string };

/** @param search what the person searched for, so that it can be changed */
export function problemView(fault: Fault, requestId: string, search = ''): View {
  return {
    title: titleOf(fault),
    content: problemBanner(fault, requestId),
    commands: [],
    search,
    live: false,
  };
}

function titleOf({ status }: Fault): string {
  if (status === 404) return 'Not found';
  if (status === 403) return 'Not allowed';
  return status >= 500 ? 'Something is wrong' : 'This cannot be done';
}

function problemBanner(fault: Fault, requestId: string): Markup {
  return markup`<div class="say bad" role="alert"><strong>${titleOf(fault)}</strong>${shown(fault.detail, 2_000)}</div>
    <p class="meta"><code>${fault.code}</code> · request <code>${requestId}</code> · <a href="/console">Now</a></p>`;
}

/** The answer to a statement that reached the time limit. */
export const tooSlow: Fault = {
  status: 503,
  code: 'database_slow',
  detail:
    'The database took longer than 2 s for this page, so it was given up. Narrow the search, for example with since:1h, queue: or status:, or try again in a moment.',
};
