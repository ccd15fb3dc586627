// The folder `.waybill/` of a project: what `waybill dev` keeps there. Git ignores it by a file of its own.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WaybillError } from '../errors.ts';

/**
 * Makes the folder.
 * @param project the project's folder
 * @returns its path
 * @throws WaybillError `folder_not_writable`
 */
export function devFolder(project: string): string {
  const folder = join(project, '.waybill');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 }); // Postgres may run as another user, who must be able to enter it
    const ignored = join(folder, '.gitignore');
    if (!existsSync(ignored)) writeFileSync(ignored, '*\n');
  } catch (cause) {
    throw notWritable(folder, cause as NodeJS.ErrnoException);
  }
  return folder;
}

const notWritable = (folder: string, cause: NodeJS.ErrnoException): WaybillError =>
  new WaybillError(
    'folder_not_writable',
    `${folder} cannot be made or written (${cause.code ?? cause.message}). It keeps the keys and the database of waybill dev: run it in a folder that you may write to`,
    [],
    { cause },
  );
