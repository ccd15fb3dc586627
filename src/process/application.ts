// The version of the application: that of the nearest package.json above its module.

import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/**
 * @param module the path of the application's module, relative to the working directory
 * @returns null where no package.json with a version is found
 */
export function applicationVersion(module: string): string | null {
  for (let folder = dirname(resolve(module)); ; folder = dirname(folder)) {
    const version = versionIn(join(folder, 'package.json'));
    if (version !== undefined) return version;
    if (folder === dirname(folder)) return null;
  }
}

function versionIn(file: string): string | undefined {
  try {
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown };
    return typeof version === 'string' ? version.slice(0, 100) : undefined;
  } catch {
    return undefined; // none there, or one that cannot be read: the version is only shown
  }
}
