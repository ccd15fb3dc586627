// The console's style and scripts, served under names that hold a hash of their content, so that browsers may keep them for ever.

import { createHash } from 'node:crypto';
import { assetText, type AssetName } from './asset-text.ts';

export type Asset = { readonly path: string; readonly type: string; readonly text: string };

const types: Readonly<Record<AssetName, string>> = {
  'console.css': 'text/css; charset=utf-8',
  'console.js': 'text/javascript; charset=utf-8',
  'live.js': 'text/javascript; charset=utf-8',
};

function assetOf(name: AssetName): Asset {
  const text = assetText(name);
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 12);
  return { path: `/console/assets/${name.replace('.', `-${hash}.`)}`, type: types[name], text };
}

export const style = assetOf('console.css');
export const script = assetOf('console.js');
export const liveScript = assetOf('live.js');
