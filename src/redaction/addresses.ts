// Masks mail addresses in any text: enough remains to recognise an address, and too little to write to it.

/** Whole addresses in any text → `a***@b.test`. Each word is matched once, from its start, so the time is linear in the length of the text. */
export function maskAddresses(text: string): string {
  return text
    .replaceAll(/"(.)[^"]{0,200}"@/g, '$1***@')
    .replaceAll(word, (whole: string, quotes: string, first: string, domain: string) =>
      whole.startsWith('//') ? whole : `${quotes}${first}***@${domain}`,
    );
}

/** A match that begins with `//` is the host of a URL, whose user is hidden already. */
const word = /(?<![^\s<>"(),;:@])('*)([^\s<>"'(),;:@])[^\s<>"(),;:@]*@([\p{L}\p{N}.-]+)/gu;
