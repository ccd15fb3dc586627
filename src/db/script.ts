// A script: the statements of one file, sent as one message. It finds the failed statement, because Postgres gives a position only for some errors.

import type pg from 'pg';
import { markError } from './executor.ts';
import { tokensOf } from './statement.ts';

type Answered = {
  readonly error: Error | null;
  /** The command tags of the statements that succeeded. */ readonly tags: readonly string[];
};

/** Runs the statements in order, up to the first that fails. */
export async function runScript(client: pg.ClientBase, text: string): Promise<Answered> {
  const { promise, resolve } = Promise.withResolvers<Answered>();
  client.query(new Script(text, (error, tags) => resolve({ error: error && markError(error), tags })));
  return promise;
}

/** A query object of pg that records each statement's tag. With pg's own, the answers before a failed statement are lost. */
export class Script {
  readonly #text: string;
  readonly #tags: string[] = [];
  /** pg wraps it with its timeout. */
  callback: (error: Error | null, tags: readonly string[]) => void;

  constructor(text: string, callback: (error: Error | null, tags: readonly string[]) => void) {
    this.#text = text;
    this.callback = callback;
  }

  submit(connection: pg.Connection): void {
    connection.query(this.#text);
  }

  handleRowDescription(): void {} // rows are ignored

  handleDataRow(): void {}

  handleEmptyQuery(): void {} // a file of comments alone

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#tags.push(text);
  }

  handleError(error: Error): void {
    this.callback(error, this.#tags);
  }

  handleReadyForQuery(): void {
    this.callback(null, this.#tags);
  }
}

export type Statement = { readonly line: number; readonly text: string };

/** The statements of a script with their first lines, for messages. */
export function statementsOf(script: string): Statement[] {
  const found: { line: number; text: string }[] = [];
  let current: { line: number; text: string } | undefined;
  let line = 1;
  for (const token of tokensOf(script)) {
    const isComment = token.startsWith('--') || token.startsWith('/*');
    if (token === ';') current = undefined;
    else if (!isComment && (current !== undefined || token.trim() !== '')) {
      if (!current) found.push((current = { line, text: '' }));
      current.text += token;
    }
    line += breaks(token);
  }
  return found.map(({ line: at, text }) => ({ line: at, text: text.trim() }));
}

function breaks(text: string): number {
  return text.split('\n').length - 1;
}

/** The line of an error. @param done number of statements that succeeded before it */
export function lineOf(script: string, error: Error & { readonly position?: unknown }, done: number): number {
  const position = Number(error.position);
  if (Number.isInteger(position) && position > 0)
    return (
      breaks(
        Array.from(script)
          .slice(0, position - 1)
          .join(''),
      ) + 1
    );
  return statementsOf(script)[done]?.line ?? 1;
}
