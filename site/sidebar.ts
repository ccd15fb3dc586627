// The sections of the site, read from the lists of docs/README.md: what GitHub shows and what the sidebar shows cannot differ.

export type Section = {
  readonly title: string;
  readonly pages: readonly { readonly text: string; readonly file: string }[];
};

/**
 * @param index text of docs/README.md: lines `**Section**`, each followed by a list whose links are pages
 * @returns sections in their order; files from docs/, as in `decisions/README.md`
 * @throws Error when a page stands in two sections or twice in one, or before any section
 */
export function sectionsOf(index: string): Section[] {
  const sections: { title: string; pages: { text: string; file: string }[] }[] = [];
  const seen = new Set<string>();
  for (const line of index.split('\n')) {
    const title = /^\*\*([^*]+)\*\*$/.exec(line)?.[1];
    if (title !== undefined) sections.push({ title, pages: [] });
    for (const [, text, file] of line.matchAll(/\[([^\]]+)\]\(([\w./-]+\.md)(?:#[^)]*)?\)/g)) {
      if (file!.startsWith('..')) continue;
      if (seen.has(file!)) throw new Error(`docs/README.md lists ${file} twice: a page has one section`);
      if (sections.length === 0) throw new Error(`docs/README.md lists ${file} before its first **Section**`);
      seen.add(file!);
      sections.at(-1)!.pages.push({ text: text![0]!.toUpperCase() + text!.slice(1), file: file! });
    }
  }
  return sections;
}

/** @returns the address of a page on the site, as in `/decisions/` or `/email` */
export function addressOf(file: string): string {
  return `/${file.replace(/\.md$/, '').replace(/(^|\/)README$/, '$1')}`;
}
