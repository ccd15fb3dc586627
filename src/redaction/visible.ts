// Makes characters visible that a terminal or a reader would obey: they are shown as escapes.

/** Controls (C0, C1), text directions, line and paragraph separators, invisible characters, the byte order mark, lone surrogates. */
const unseen =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\p{Cs}]/gu;

/** For one line: line breaks and tabs become escapes too. */
export function visibleLine(text: string): string {
  return text.replaceAll(unseen, escape);
}

/** For several lines: line breaks and tabs stay. */
export function visibleText(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(unseen, (char) => (char === '\n' || char === '\t' ? char : escape(char)));
}

/** The same JSON value without characters that a terminal obeys. JSON.stringify leaves C1 and text directions as they are. */
export function visibleJson(json: string): string {
  return json.replaceAll(unseen, (char) => (char === '\n' ? char : escape(char)));
}

/** JSON escapes, so that the text can be copied into a program. */
function escape(char: string): string {
  const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[char];
  if (short) return short;
  return Array.from(
    { length: char.length },
    (_, i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`,
  ).join('');
}
