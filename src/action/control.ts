// Detects statements that begin or end a handler's transaction, because its changes would then not commit with its messages.
// The text is checked first, then the command tag of the server's answer.

import { transactionStatement } from '../db/statement.ts';
import { WaybillError } from '../errors.ts';

/** The SQL in an argument of pg's `query`: a string, a config, a Query, a cursor or a stream. Undefined when there is none. */
export function textOf(query: unknown): string | undefined {
  if (typeof query === 'string') return query;
  if (typeof query !== 'object' || query === null) return undefined;
  const { text, cursor } = query as { text?: unknown; cursor?: { text?: unknown } };
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

/** The command tag of the statement that ended the transaction; undefined when none did. */
export function endIn(answer: unknown, text: string | undefined): string | undefined {
  for (const one of Array.isArray(answer) ? (answer as unknown[]) : [answer]) {
    const tag = (one as { readonly command?: unknown } | null | undefined)?.command;
    if (typeof tag === 'string' && isEnd(tag, text)) return tag;
  }
  return undefined;
}

/** `rollback to` a savepoint has the same tag as `rollback`. */
export function isEnd(tag: string, text: string | undefined): boolean {
  if (tag === 'ROLLBACK') return text === undefined || !/\bto\b/i.test(text);
  return tag === 'COMMIT' || tag === 'PREPARE TRANSACTION';
}
