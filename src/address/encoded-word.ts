// Encoded words (RFC 2047): how a header writes what is not ASCII. Mail libraries write display names so, and reports bring them back.

const word = /=\?([A-Za-z0-9_-]{1,40})\?([BbQq])\?([^?\s]{0,2000})\?=/g;

/** The text with its encoded words decoded; blanks between two of them are part of neither. What cannot be decoded stays. */
export function decodeWords(text: string): string {
  let [decoded, end, afterWord] = ['', 0, false];
  for (const match of text.matchAll(word)) {
    const between = text.slice(end, match.index);
    const [all, charset = '', encoding = '', content = ''] = match;
    const plain = decodeWord(charset, encoding, content);
    decoded += (afterWord && plain !== undefined && between.trim() === '' ? '' : between) + (plain ?? all);
    [end, afterWord] = [match.index + all.length, plain !== undefined];
  }
  return decoded + text.slice(end);
}

function decodeWord(charset: string, encoding: string, content: string): string | undefined {
  const bytes =
    encoding.toUpperCase() === 'B'
      ? Buffer.from(content, 'base64')
      : Buffer.from(
          content
            .replaceAll('_', ' ')
            .replaceAll(/=([0-9A-Fa-f]{2})/g, (_, hex: string) =>
              String.fromCharCode(Number.parseInt(hex, 16)),
            ),
          'latin1',
        );
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch {
    return undefined; // an unknown charset, or bytes that are none of it
  }
}
