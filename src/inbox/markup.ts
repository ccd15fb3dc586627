// Markup: HTML that is written here, with everything that comes from elsewhere escaped.

export type Markup = { readonly markup: string };

type Part = string | number | Markup | readonly Markup[] | null;

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For an element's content and for an attribute's value in quotes. */
export function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => entities[char]!);
}

/** What stands in the template is markup, what is put into it is text, unless it is markup itself. Null is nothing. */
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

/** A plain text whose web addresses can be followed: nothing else becomes a link. */
export function linked(text: string): Markup[] {
  const links = [...text.matchAll(address)].map(([url]) => url);
  return text
    .split(address)
    .flatMap((between, i) => [markup`${between}`, ...(links[i] === undefined ? [] : [link(links[i])])]);
}

function link(url: string): Markup {
  return markup`<a href="${url}" target="_blank" rel="noopener noreferrer">${url}</a>`;
}
