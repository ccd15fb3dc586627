// Packages that are loaded on demand: optional ones, and large ones that most processes never use.

import { createRequire as requireOf } from 'node:module'; // the name createRequire would clash with the line that many bundles begin with
import { join } from 'node:path';

/** Resolves from this file. A bundle in CommonJS has no `import.meta.url`, so its packages are found from the working directory. */
const load = requireOf((import.meta.url as string | undefined) ?? join(process.cwd(), 'index.js'));

/** @returns undefined when the package is not installed; errors that it throws while it loads pass through */
export function loadPackage<T>(name: string): T | undefined {
  try {
    return load(name) as T;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'MODULE_NOT_FOUND' && message.includes(name)) return undefined; // not a dependency that the package itself lacks
    if (code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return undefined; // a version of it that lacks this part
    throw error;
  }
}
