// The secrets of this process: values of its environment that must not be shown, in each form in which an error may repeat them.

type Env = Readonly<Record<string, string | undefined>>;

/** Variables whose whole value is a secret, Waybill's and the application's. */
const secretName =
  /(?:^|_)(?:API_?KEYS?|KEYS?|SECRETS?|TOKENS?|PASSWORD|PASSWD|PASSPHRASE|PWD?|CREDENTIALS?)$|^PGPASSWORD$/i;
/** These names end like a secret's, but their values are not secret. */
const plainName = /^(?:PWD|OLDPWD)$/;

/** Parameters of a URL whose value is a secret. */
export const secretParameter =
  /^(?:password|passwd|pwd|pass|passphrase|secret|token|key|api[_-]?key|access[_-]?key|sslpassword|auth|authorization|signature|sig|code|.*[_-](?:token|secret|password|key))$/i;

/** Shorter secrets would match in too many words. */
const shortest = 4;
/** A shorter secret is replaced only where it is a whole word. */
const certain = 8;

/** All secrets of an environment, as written there. */
export function secretsOf(env: Env): Set<string> {
  const found = new Set<string>();
  for (const [name, value = ''] of Object.entries(env)) {
    if (value === '') continue;
    if (secretName.test(name) && !plainName.test(name)) for (const part of partsOf(value)) found.add(part);
    if (value.includes('://')) for (const part of secretsOfUrls(value)) found.add(part);
  }
  return found;
}

/** A variable may list several keys: `name:role:key,…`, `id:key,…`. A signing secret is hidden with and without its prefix. */
function partsOf(value: string): string[] {
  const items = value.split(',').map((item) => item.trim());
  const last = items.map((item) => item.slice(item.lastIndexOf(':') + 1));
  return [value, ...items, ...last].flatMap((one) => [one, one.replace(/^whsec_/, '')]);
}

/** Passwords and secret parameters of the URLs in a value. It may have several URLs: `name=url,name=url`. */
function secretsOfUrls(value: string): string[] {
  return [
    value,
    ...value.split(',').map((item) => item.slice(item.search(/(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*:\/\//i))),
  ].flatMap((text) => {
    const rough = /:\/\/[^:/@\s]{0,500}:([^\s]{0,500})@/.exec(text)?.[1];
    if (!URL.canParse(text)) return rough === undefined ? [] : [rough];
    const { password, username, hostname, pathname, searchParams } = new URL(text);
    const parameters = [...searchParams].flatMap(([name, one]) => (secretParameter.test(name) ? [one] : []));
    const known = [username, hostname, pathname.slice(1)]; // in postgres://postgres:postgres@… the password is no secret
    const passwords = known.includes(password) ? [] : [password, decoded(password), rough ?? ''];
    return [...passwords, ...parameters, ...loginsOf(decoded(username), decoded(password))];
  });
}

/** User and password combined as HTTP and SMTP send them (RFC 7617, RFC 4616). */
function loginsOf(user: string, password: string): string[] {
  if (password === '') return [];
  return [`${user}:${password}`, `\0${user}\0${password}`].map((pair) =>
    Buffer.from(pair).toString('base64'),
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A pattern that finds the secrets in a text, in each of their forms; null when there are none. */
export function patternOf(secrets: ReadonlySet<string>): RegExp | null {
  const forms = new Set([...secrets].flatMap(formsOf));
  const sorted = [...forms].filter((form) => form.length >= shortest).toSorted((a, b) => b.length - a.length);
  if (sorted.length === 0) return null;
  const each = sorted.map((form) =>
    form.length >= certain ? escaped(form) : `(?<![\\p{L}\\p{N}])${escaped(form)}(?![\\p{L}\\p{N}])`,
  );
  return new RegExp(each.join('|'), 'gu');
}

function formsOf(secret: string): string[] {
  if (secret.length < shortest) return [];
  const bytes = Buffer.from(secret);
  const encoded = encodeURIComponent(secret.toWellFormed());
  const base64 = bytes.toString('base64');
  return [
    secret,
    decoded(secret),
    encoded,
    encoded.replaceAll(/%[0-9A-F]{2}/g, (one) => one.toLowerCase()),
    JSON.stringify(secret).slice(1, -1),
    ...(secret.length >= 6 ? [base64, base64.replace(/=+$/, ''), bytes.toString('base64url')] : []),
  ];
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
