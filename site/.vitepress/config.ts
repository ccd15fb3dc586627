// The site: docs/ as it is on GitHub, in the sections of docs/README.md, and the reference that TypeDoc makes of the docstrings.

import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { defineConfig, type DefaultTheme } from 'vitepress';
import { anchorOf } from '../anchor.ts';
import { copyAssets } from '../assets.ts';
import { checkSite } from '../check.ts';
import { checkDiagrams, diagrams } from '../diagrams.ts';
import { homeOf } from '../home.ts';
import { linksOut, type Files } from '../links.ts';
import { noUnknownTags, plainBraces } from '../raw.ts';
import { repositoryOf, type Manifest } from '../repository.ts';
import { addressOf, sectionsOf } from '../sidebar.ts';

const site = fileURLToPath(new URL('../', import.meta.url));
const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const manifest = JSON.parse(read('package.json')) as Manifest;
const repository = repositoryOf(manifest, process.env);
const sections = sectionsOf(read('docs/README.md'));
copyAssets(site);

const files: Files = new Set();
/** Where the site is served, with slashes around it. */
const base = process.env.DOCS_BASE ?? '/';

/** What TypeDoc wrote; nothing in a preview without it. */
const api = 'docs/api/typedoc-sidebar.json';
const symbols = existsSync(join(root, api)) ? (JSON.parse(read(api)) as DefaultTheme.SidebarItem[]) : [];

const sidebar: DefaultTheme.SidebarItem[] = [
  ...sections.map(({ title, pages }) => ({
    text: title,
    collapsed: false,
    items: pages.map(({ text, file }) => ({ text, link: addressOf(file) })),
  })),
  ...(symbols.length === 0 ? [] : [{ text: 'API', link: '/api/', collapsed: true, items: symbols }]),
];

/** When pages are rendered, Vue stays outside of the bundle. Vite looks for it from docs/, where there is no node_modules/. */
const vueOnServer: Plugin = {
  name: 'vue-on-server',
  enforce: 'pre',
  resolveId: (id, _, { ssr }) => (ssr && /^vue(?:\/|$)/.test(id) ? { id, external: true } : null),
};

export default defineConfig({
  title: 'Waybill',
  description: manifest.description,
  lang: 'en',
  base,
  head: [['link', { rel: 'icon', href: `${base}mark.svg`, type: 'image/svg+xml' }]],
  srcDir: '../docs',
  outDir: 'dist',
  cleanUrls: true,
  ignoreDeadLinks: false,
  rewrites: { 'README.md': 'index.md', 'decisions/README.md': 'decisions/index.md' },
  markdown: {
    anchor: { slugify: anchorOf },
    config(md) {
      linksOut(md, repository, files);
      noUnknownTags(md);
      plainBraces(md);
      diagrams(md);
    },
  },
  async transformPageData(page) {
    await checkDiagrams(`docs/${page.filePath}`, read(`docs/${page.filePath}`));
    if (page.relativePath === 'index.md') return homeOf(manifest.description, sections);
    return page.relativePath.startsWith('api/')
      ? { frontmatter: { ...page.frontmatter, editLink: false } }
      : undefined;
  },
  async buildEnd({ outDir }) {
    for (const file of files) cpSync(join(root, 'docs', file), join(outDir, file));
    checkSite(outDir, base);
  },
  vite: {
    plugins: [vueOnServer],
    publicDir: join(site, 'public'),
    build: { chunkSizeWarningLimit: 2_000 }, // kB: the index of the search
  },
  themeConfig: {
    siteTitle: 'Waybill',
    logo: '/mark.svg',
    sidebar,
    nav: [
      ...sections.map(({ title, pages }) => ({ text: title, link: addressOf(pages[0]!.file) })),
      ...(symbols.length === 0 ? [] : [{ text: 'API', link: '/api/' }]),
    ],
    outline: [2, 3],
    search: {
      provider: 'local',
      // A page that explains comes before the reference.
      options: {
        miniSearch: {
          searchOptions: { boostDocument: (page: string) => (page.includes('/api/') ? 0.5 : 1) },
        },
      },
    },
    ...(repository === undefined
      ? {}
      : {
          socialLinks: [{ icon: 'github', link: repository }],
          editLink: { pattern: `${repository}/edit/main/docs/:path` },
        }),
    footer: { message: `Waybill ${manifest.version}, under the MIT licence` },
  },
});
