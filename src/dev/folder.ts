// The folder `.waybill/` of a project: what `waybill dev` keeps there. Git ignores it by a file of its own.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Makes the folder. @param project the project's folder @returns its path */
export function devFolder(project: string): string {
  const folder = join(project, '.waybill');
  mkdirSync(folder, { recursive: true, mode: 0o755 }); // Postgres may run as another user, who must be able to enter it
  const ignored = join(folder, '.gitignore');
  if (!existsSync(ignored)) writeFileSync(ignored, '*\n');
  return folder;
}
