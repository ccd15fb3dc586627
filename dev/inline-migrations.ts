// The last step of the build: writes the texts of the migrations into dist/db/migration-text.js. `createPostgresOutboxSetupStatements` must work
// in an application that was bundled into one file, without sql/ beside it.

import { readdirSync, writeFileSync } from 'node:fs';
import { migrationText } from '../src/db/migration-text.ts';

const names = readdirSync(new URL('../sql/', import.meta.url)).toSorted();
const texts = Object.fromEntries(names.map((name) => [name, migrationText(name)]));

writeFileSync(
  new URL('../dist/db/migration-text.js', import.meta.url),
  `// Made by the build from sql/.
const texts = ${JSON.stringify(texts, null, 2)};

export function migrationText(file) {
  return texts[file];
}
`,
);
