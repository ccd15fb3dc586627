// The caller's file: for errors about what a definition holds, which would otherwise show a stack of ours and no place to go to.

import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const own = dirname(fileURLToPath(import.meta.url));

/** From the working directory; null when the stack does not tell. */
export function callingFile(): string | null {
  for (const line of (new Error('where').stack ?? '').split('\n').slice(1)) {
    const [, path] = /\(?((?:file:\/\/)?\/[^()]*?|[A-Za-z]:\\[^()]*?)(?::\d+){1,2}\)?$/.exec(line) ?? [];
    if (path === undefined) continue;
    const file = path.startsWith('file://') ? fileURLToPath(path) : path;
    if (dirname(file) !== own) return relative(process.cwd(), file);
  }
  return null;
}
