// A dashboard's layout as a picture: where each panel stands, what it is called, what it shows. Not its figures.

import type { Dashboard, Panel } from './dashboards.ts';

const column = 40;
const line = 22;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** @returns an SVG document */
export function layoutOf({ title, panels }: Dashboard): string {
  const height = (Math.max(...panels.map(({ gridPos: { y, h } }) => y + h)) + 2) * line;
  const body = panels.map((panel) => cell(panel)).join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${24 * column}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#f4f5f5"/>
<text x="8" y="26" font-size="18" font-weight="bold">${escape(title)}</text>
${body}
</svg>
`;
}

function cell({ type, title, gridPos: { x, y, w, h }, targets = [], description = '' }: Panel): string {
  const [left, top] = [x * column, (y + 2) * line];
  const name = `<text x="${left + 12}" y="${top + 18}" font-size="${type === 'stat' ? 10.5 : 12}" font-weight="bold">${escape(title)}</text>`;
  if (type === 'row') return name;
  const box = `<rect x="${left + 4}" y="${top + 2}" width="${w * column - 8}" height="${h * line - 6}" rx="3" fill="#fff" stroke="#ccd"/>`;
  const words = type === 'stat' ? '' : wrapped(description, Math.floor((w * column - 24) / 6.2));
  const series = targets.flatMap(({ legendFormat }) => (legendFormat ? [legendFormat] : [])).join('   ');
  const texts = (words === '' ? [] : words.split('\n')).map(
    (text, i) => `<text x="${left + 12}" y="${top + 40 + i * 16}" fill="#555">${escape(text)}</text>`,
  );
  const legend =
    series === ''
      ? []
      : [
          `<text x="${left + 12}" y="${top + h * line - 14}" font-size="10" fill="#27c">${escape(series)}</text>`,
        ];
  return [box, name, ...texts, ...legend].join('\n');
}

function wrapped(text: string, width: number): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1)!;
    if (last !== '' && last.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join('\n');
}
