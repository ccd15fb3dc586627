// The top of the home page: what Waybill is, and where to begin. Below it stands docs/README.md.

import type { PageData } from 'vitepress';
import { addressOf, type Section } from './sidebar.ts';

/** @param description one sentence, from package.json */
export function homeOf(description: string, sections: readonly Section[]): Partial<PageData> {
  const [start, ...others] = sections.map(({ title, pages: [page] }) => ({
    title,
    text: page!.text,
    link: addressOf(page!.file),
  }));
  return {
    title: 'Waybill',
    titleTemplate: description,
    frontmatter: {
      layout: 'home',
      hero: {
        name: 'Waybill',
        tagline: description,
        image: { light: '/now.png', dark: '/now-dark.png', alt: 'The console of a fleet at work' },
        actions: [
          { theme: 'brand', text: start!.text, link: start!.link },
          ...others.map(({ title, link }) => ({ theme: 'alt', text: title, link })),
        ],
      },
    },
  };
}
