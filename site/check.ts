// The site as it was built: every link and every image of its own leads to something, anchors included. VitePress checks pages, but no anchors.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

type Built = { readonly ids: ReadonlySet<string>; readonly targets: readonly string[] };

const values = (html: string, pattern: RegExp): string[] =>
  [...html.matchAll(pattern)].map((match) => match[1]!.replaceAll('&amp;', '&'));

function builtOf(html: string): Built {
  return {
    ids: new Set(values(html, /\sid="([^"]+)"/g)),
    targets: values(html, /\s(?:href|src)="([^"]+)"/g),
  };
}

/**
 * @param folder of the built site
 * @param base of its addresses, with slashes around it
 * @throws Error that lists every dead link with its page
 */
export function checkSite(folder: string, base: string): void {
  const pages = new Map(
    globSync('**/*.html', { cwd: folder }).map((name) => [
      name,
      builtOf(readFileSync(join(folder, name), 'utf8')),
    ]),
  );
  const dead = [...pages].flatMap(([page, { targets }]) =>
    targets.filter((target) => !leads(target, page)).map((target) => `${page}: ${target}`),
  );
  if (dead.length > 0) throw new Error(`dead links of the site:\n${[...new Set(dead)].join('\n')}`);

  function leads(target: string, page: string): boolean {
    if (/^(?:[a-z]+:|\/\/)/.test(target)) return true;
    const { pathname, hash } = new URL(target, `http://site${base}${page}`);
    if (!pathname.startsWith(base)) return false;
    const path = decodeURIComponent(pathname.slice(base.length));
    const name = [path, `${path}.html`, posix.join(path, 'index.html')].find((one) => pages.has(one));
    if (name === undefined) return path !== '' && existsSync(join(folder, path));
    return hash === '' || pages.get(name)!.ids.has(decodeURIComponent(hash.slice(1)));
  }
}
