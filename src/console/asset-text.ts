// The text of the console's style and script. The build writes the texts into this module (dev/inline.ts), so that a bundled application has them.

import { readFileSync } from 'node:fs';

export type AssetName = 'console.css' | 'console.js' | 'live.js';

export function assetText(name: AssetName): string {
  return readFileSync(new URL(`./assets/${name}`, import.meta.url), 'utf8');
}
