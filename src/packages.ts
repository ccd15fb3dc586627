// Packages that are loaded when they are needed: optional ones, and large ones that most processes never use.

import { createRequire as requireOf } from 'node:module'; // under its own name it clashes with the line that bundles are often begun with
import { join } from 'node:path';

/** From this file; a bundle in CommonJS has no `import.meta.url`, and its packages are found from the working directory. */
const load = requireOf((import.meta.url as string | undefined) ?? join(process.cwd(), 'index.js'));

/** @returns undefined when the package is not installed; what it throws while it loads passes through */
export function loadPackage<T>(name: string): T | undefined {
  try {
    return load(name) as T;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'MODULE_NOT_FOUND' && message.includes(name)) return undefined; // not one that the package itself misses
    throw error;
  }
}
