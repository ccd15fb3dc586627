// Edits of a .env file as text: one variable is set or removed, and nothing else changes. Node reads such files (process.loadEnvFile).

const assignment = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=/;

/** The names of the variables that a file sets. */
export function namesIn(text: string): string[] {
  return [...new Set(text.split(/\r?\n/).flatMap((line) => assignment.exec(line)?.[1] ?? []))];
}

/** @param value one line */
export function withVariable(text: string, name: string, value: string): string {
  const line = `${name}=${quoted(value)}`;
  const lines = text === '' ? [] : text.replace(/\r?\n$/, '').split('\n');
  const at = lines.findLastIndex((one) => assignment.exec(one)?.[1] === name);
  if (at === -1) lines.push(line);
  else lines[at] = line;
  return `${lines.join('\n')}\n`;
}

export function withoutVariable(text: string, name: string): string {
  return text
    .split('\n')
    .filter((line) => assignment.exec(line)?.[1] !== name)
    .join('\n');
}

/** A plain value needs no quotes. Within single quotes and backticks Node takes every character literally. */
function quoted(value: string): string {
  if (/^[A-Za-z0-9_./:@,+%?&=~-]*$/.test(value)) return value;
  const quote = ["'", '`', '"'].find((one) => !value.includes(one) && !(one === '"' && value.includes('\\')));
  return quote === undefined ? value : `${quote}${value}${quote}`;
}
