// Writes HTML from templates and escapes every value that is not markup itself.

export type Markup = { readonly markup: string };

type Part = string | number | Markup | readonly Markup[] | null;

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Escapes text for an element's content or a quoted attribute value. */
export function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => entities[char]!);
}

/** The template is markup. Its values are escaped unless they are markup; null is left out. */
export function markup(template: readonly string[], ...parts: readonly Part[]): Markup {
  return { markup: template.map((text, i) => text + written(parts[i] ?? null)).join('') };
}

function written(part: Part): string {
  if (part === null) return '';
  if (typeof part !== 'object') return escaped(String(part));
  return 'markup' in part ? part.markup : part.map((one) => one.markup).join('');
}

const address =
  /https?:\/\/[^\s<>"'[\]()\p{Cc}\p{Bidi_Control}]*[^\s<>"'[\]()\p{Cc}\p{Bidi_Control}.,;:!?]/gu;

/** Plain text in which web addresses, and nothing else, become links. */
export function linked(text: string): Markup[] {
  const links = [...text.matchAll(address)].map(([url]) => url);
  return text
    .split(address)
    .flatMap((between, i) => [markup`${between}`, ...(links[i] === undefined ? [] : [link(links[i])])]);
}

function link(url: string): Markup {
  return markup`<a href="${url}" target="_blank" rel="noopener noreferrer">${url}</a>`;
}
