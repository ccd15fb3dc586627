// A script: the statements of one file, sent as one message. It finds the failed statement, because Postgres gives a position only for some errors.

import type pg from 'pg';
import { markError } from './executor.ts';

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

/** Comments, texts in quotes, names in quotes and dollar-quoted bodies may contain semicolons. Comments nest. */
const tokens =
  /--[^\n]*|\/\*|[eE]'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*)?\$|;|[^;'"$/eE-]+|[\s\S]/g;

/** The statements of a script with their first lines, for messages. */
export function statementsOf(script: string): Statement[] {
  const found: { line: number; text: string }[] = [];
  let current: { line: number; text: string } | undefined;
  let line = 1;
  tokens.lastIndex = 0;
  for (let match = tokens.exec(script); match; match = tokens.exec(script)) {
    const whole = wholeToken(script, match);
    tokens.lastIndex = match.index + whole.length;
    const isComment = whole.startsWith('--') || whole.startsWith('/*');
    if (whole === ';') current = undefined;
    else if (!isComment && (current !== undefined || whole.trim() !== '')) {
      const skipped = current ? '' : whole.slice(0, whole.length - whole.trimStart().length);
      if (!current) found.push((current = { line: line + breaks(skipped), text: '' }));
      current.text += whole;
    }
    line += breaks(whole);
  }
  return found.map(({ line: at, text }) => ({ line: at, text: text.trim() }));
}

/** Extends the token to the end of a dollar-quoted body or of a comment, nested ones included. */
function wholeToken(script: string, { index, 0: token }: RegExpExecArray): string {
  if (token === '/*') return comment(script, index);
  if (!/^\$([A-Za-z_]\w*)?\$$/.test(token)) return token;
  const end = script.indexOf(token, index + token.length);
  return end < 0 ? script.slice(index) : script.slice(index, end + token.length);
}

function comment(script: string, from: number): string {
  let depth = 0;
  for (let at = from; at < script.length; at++) {
    const two = script.slice(at, at + 2);
    if (two === '/*') depth++;
    else if (two === '*/') depth--;
    else continue;
    at++;
    if (depth === 0) return script.slice(from, at + 1);
  }
  return script.slice(from);
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
