// The first screen of `waybill dev`: the addresses, and a command that makes something happen.

import { exampleCall, type Document } from './example-call.ts';

export type Addresses = {
  /** Where web listens, such as `http://localhost:3000`. */
  readonly web: string;
  /** With a token that signs in once; null: the console has no key. */
  readonly consoleLink: string | null;
  readonly hasInbox: boolean;
  readonly apiKey: string | null;
  /** The folder of the database's data; null: that of DATABASE_URL. */
  readonly data: string | null;
};

const noKeys =
  'No keys were made, because HOST or NODE_ENV opens this to others: set WAYBILL_API_KEY (KEY above) and WAYBILL_ADMIN_KEY (for the console).';

/** @returns undefined when web does not answer with its OpenAPI document */
export async function readDocument(web: string): Promise<Document | undefined> {
  try {
    const response = await fetch(`${web}/openapi.json`, { signal: AbortSignal.timeout(5_000) });
    return response.ok ? ((await response.json()) as Document) : undefined;
  } catch {
    return undefined; // the addresses are shown without it
  }
}

export function screenLines(addresses: Addresses, document: Document | undefined): string[] {
  const { web, consoleLink, hasInbox, apiKey, data } = addresses;
  const rows = [
    ['console', consoleLink ?? `${web}/console`],
    ...(hasInbox ? [['inbox', `${web}/inbox`]] : []),
    ['API', `${web}/openapi.json${apiKey ? `   (key ${apiKey})` : ''}`],
    ['metrics', `${web}/metrics`],
    [
      'database',
      data === null ? 'the one of DATABASE_URL' : `a Postgres of its own; its data stay in ${data}`,
    ],
  ];
  const call = document && exampleCall(document, web, apiKey ?? 'KEY');
  return [
    '',
    ...rows.map(([name = '', value = '']) => `  ${name.padEnd(9)} ${value}`),
    '',
    `${consoleLink ? 'The link to the console signs you in, once. ' : ''}To make something happen, in another terminal:`,
    '',
    `    ${call ?? 'npx waybill email test ann@customers.example'}`,
    '',
    ...(apiKey === null ? [noKeys, ''] : []),
    'A change of a source file starts it again. Ctrl-C ends it.',
    '',
  ];
}
