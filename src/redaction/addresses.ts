// Mail addresses in any text: enough of them to recognise one, too little to write to.

/** Whole addresses in any text → `a***@b.test`. A word is looked at once, from its start: the time grows with the text and no faster. */
export function maskAddresses(text: string): string {
  return text
    .replaceAll(/"(.)[^"]{0,200}"@/g, '$1***@')
    .replaceAll(word, (whole: string, quotes: string, first: string, domain: string) =>
      whole.startsWith('//') ? whole : `${quotes}${first}***@${domain}`,
    );
}

/** What begins with `//` is the host of a URL, whose user is hidden already. */
const word = /(?<![^\s<>"(),;:@])('*)([^\s<>"'(),;:@])[^\s<>"(),;:@]*@([\p{L}\p{N}.-]+)/gu;
