// A .env file as text: one variable set or taken out, and nothing else of it changed. Node reads such files (process.loadEnvFile).

const assignment = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=/;

/** The variables of a file, as Node reads them: the last of a name wins. */
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

/** Nothing that is plain needs quotes. In single quotes Node takes every character as it is, in backticks too. */
function quoted(value: string): string {
  if (/^[A-Za-z0-9_./:@,+%?&=~-]*$/.test(value)) return value;
  const quote = ["'", '`', '"'].find((one) => !value.includes(one) && !(one === '"' && value.includes('\\')));
  return quote === undefined ? value : `${quote}${value}${quote}`;
}
