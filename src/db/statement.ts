// Finds statements that begin or end a transaction, or touch one of our savepoints: only the owner of the transaction may run them. It follows
// Postgres's lexical rules (documentation, chapter 4.1), only as far as needed to find where statements begin.

/** The names of our savepoints begin with it. */
export const savepointPrefix = 'waybill_';

/**
 * The first statement of the text that begins or ends a transaction, shortened; undefined when there is none. `savepoint mine`, `release mine` and
 * `rollback to mine` are allowed.
 */
export function transactionStatement(text: string): string | undefined {
  if (!suspicious.test(text)) return undefined; // most statements contain none of these words
  for (const words of statementsOf(text)) {
    const found = control(words);
    if (found !== undefined) return found;
  }
  return undefined;
}

const suspicious = /\b(?:begin|start|commit|end|rollback|abort|prepare|savepoint|release)\b/i;

function control(words: readonly string[]): string | undefined {
  const [first, second = '', third = ''] = words;
  switch (first) {
    case 'begin':
    case 'commit':
    case 'end':
    case 'abort':
      return first;
    case 'start':
    case 'prepare':
      return second === 'transaction' ? `${first} transaction` : undefined;
    case 'rollback':
      return rollback(words);
    case 'savepoint':
      return own(second) && `savepoint ${second}`;
    case 'release': {
      const name = second === 'savepoint' ? third : second;
      return own(name) && `release ${name}`;
    }
    default:
      return undefined;
  }
}

/** `rollback [work | transaction] to [savepoint] name` goes back to a savepoint. Any other rollback ends the transaction. */
function rollback(words: readonly string[]): string | undefined {
  const rest = words.slice(words[1] === 'work' || words[1] === 'transaction' ? 2 : 1);
  if (rest[0] !== 'to') return 'rollback';
  const name = (rest[1] === 'savepoint' ? rest[2] : rest[1]) ?? '';
  return own(name) && `rollback to ${name}`;
}

function own(name: string): string | undefined {
  return name.startsWith(savepointPrefix) ? name : undefined;
}

/** The number of words that identify a statement. */
const most = 5;

const token =
  /--[^\n]*|\/\*|[eE]?'|"|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|;|[^]/y;

/** The tokens of a text, all of its characters among them. A comment, a text or name in quotes and a dollar-quoted text are one token each. */
export function* tokensOf(text: string): Generator<string> {
  const scan = new RegExp(token); // a copy, because `lastIndex` is its state
  for (let match = scan.exec(text); match; match = scan.exec(text)) {
    scan.lastIndex = endOf(match[0], text, scan.lastIndex);
    yield text.slice(match.index, scan.lastIndex);
  }
}

/** The first words of each statement, in lower case; names in quotes stay as they are. */
function* statementsOf(text: string): Generator<string[]> {
  let words: string[] = [];
  let body = 0; // open blocks in the body of `create function … begin atomic … end`
  let last = '';
  for (const found of tokensOf(text)) {
    if (found === ';' && body === 0) {
      yield words;
      words = [];
    } else if (found.startsWith('"') || /^[A-Za-z_\u0080-\uffff][^']*$/.test(found)) {
      const word = found.startsWith('"') ? found.slice(1, -1) : found.toLowerCase();
      if (words[0] === 'create') body = depth(body, last, word);
      if (words.length < most) words.push(word);
      last = word;
    }
  }
  yield words;
}

/** The end of the text, quoted name, comment or dollar-quoted text that begins here; otherwise the current position. */
function endOf(found: string, text: string, from: number): number {
  if (found === '/*') return endOfComment(text, from);
  if (found === "'" || found === '"') return endOfQuotes(text, found, from, false);
  if (found === "e'" || found === "E'") return endOfQuotes(text, "'", from, true);
  if (found[0] !== '$' || found.length === 1) return from;
  const end = text.indexOf(found, from);
  return end === -1 ? text.length : end + found.length;
}

/** A doubled quote stands for a quote; in `E'…'` so does one after a backslash. */
function endOfQuotes(text: string, quote: string, from: number, escapes: boolean): number {
  for (let i = from; i < text.length; i++) {
    if (escapes && text[i] === '\\') i++;
    else if (text[i] === quote && text[i + 1] === quote) i++;
    else if (text[i] === quote) return i + 1;
  }
  return text.length;
}

/** In a body in standard SQL, `;` does not end the caller's statement. */
function depth(body: number, last: string, word: string): number {
  if (body === 0) return last === 'begin' && word === 'atomic' ? 1 : 0;
  if (word === 'case') return body + 1;
  return word === 'end' ? body - 1 : body;
}

/** Comments nest. */
function endOfComment(text: string, from: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = from;
  let open = 1;
  for (let match = mark.exec(text); match; match = mark.exec(text)) {
    open += match[0] === '/*' ? 1 : -1;
    if (open === 0) return mark.lastIndex;
  }
  return text.length;
}
