// Statements that begin or end a transaction, in the transaction of a handler: it would no longer commit together with what it recorded.
// They are refused by their text; what no reading of the text finds is found by the server's answer.

import { transactionStatement } from '../db/statement.ts';
import { WaybillError } from '../errors.ts';

/** Of what pg takes: a text, a config, a Query, a cursor or a stream; undefined when none can be told. */
export function textOf(query: unknown): string | undefined {
  if (typeof query === 'string') return query;
  if (typeof query !== 'object' || query === null) return undefined;
  const { text, cursor } = query as {
    readonly text?: unknown;
    readonly cursor?: { readonly text?: unknown };
  };
  if (typeof text === 'string') return text;
  return typeof cursor?.text === 'string' ? cursor.text : undefined;
}

/** @throws WaybillError `transaction_statement` */
export function checkStatement(text: string | undefined): void {
  const found = text === undefined ? undefined : transactionStatement(text);
  if (found === undefined) return;
  throw new WaybillError(
    'transaction_statement',
    `\`${found}\` is not for the transaction of a handler, which commits together with what it enqueues: use ctx.db.transaction(async (tx) => …) for a part that may be undone alone`,
  );
}

/** The tag of a statement that ended the transaction, among the answers to a text; undefined when there is none. */
export function endIn(answer: unknown, text: string | undefined): string | undefined {
  for (const one of Array.isArray(answer) ? (answer as unknown[]) : [answer]) {
    const tag = (one as { readonly command?: unknown } | null | undefined)?.command;
    if (typeof tag === 'string' && isEnd(tag, text)) return tag;
  }
  return undefined;
}

/** `rollback to` a savepoint has the tag of `rollback`. */
export function isEnd(tag: string, text: string | undefined): boolean {
  if (tag === 'ROLLBACK') return text === undefined || !/\bto\b/i.test(text);
  return tag === 'COMMIT' || tag === 'PREPARE TRANSACTION';
}
