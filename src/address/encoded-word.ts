// Encoded words (RFC 2047): non-ASCII text in a mail header. Mail libraries write display names in this form, and reports return them.

const word = /=\?([A-Za-z0-9_-]{1,40})\?([BbQq])\?([^?\s]{0,2000})\?=/g;

/** Decodes the encoded words of a text. Spaces between two of them are dropped. A word that cannot be decoded stays. */
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
  const bytes = encoding.toUpperCase() === 'B' ? Buffer.from(content, 'base64') : ofQ(content);
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch {
    return undefined; // an unknown charset, or bytes that are invalid in it
  }
}

function ofQ(content: string): Buffer {
  const charOf = (_: string, hex: string): string => String.fromCharCode(Number.parseInt(hex, 16));
  return Buffer.from(content.replaceAll('_', ' ').replaceAll(/=([0-9A-Fa-f]{2})/g, charOf), 'latin1');
}
