// Files that the site serves as they are, gathered from where they have their home.

import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Fills public/: the mark, the screenshots of the home page, and mermaid, which a page loads when it has a diagram.
 * Mermaid is served as it is published: to bundle it takes three times as long as all pages.
 *
 * @param site this folder
 */
export function copyAssets(site: string): void {
  const to = join(site, 'public');
  rmSync(to, { recursive: true, force: true });
  cpSync(join(site, 'mark.svg'), join(to, 'mark.svg'));
  for (const name of ['now.png', 'now-dark.png']) cpSync(join(site, '../docs/console', name), join(to, name));
  const mermaid = join(site, 'node_modules/mermaid/dist');
  const parts = 'chunks/mermaid.esm.min';
  cpSync(join(mermaid, 'mermaid.esm.min.mjs'), join(to, 'mermaid/mermaid.esm.min.mjs'));
  cpSync(join(mermaid, parts), join(to, 'mermaid', parts), {
    recursive: true,
    filter: (file) => !file.endsWith('.map'),
  });
}
