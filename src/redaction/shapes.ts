// Hides texts that look like secrets: the user and password of a URL, bearer tokens, keys of well-known services, private keys, `password=…`. Each
// pattern takes linear time, because repetitions are bounded or come last.

import { secretParameter } from './secrets.ts';

export const hidden = '***';

/** Ordinary words that follow “bearer” or “basic” in a sentence. */
const prose =
  /^(?:tokens?|auth\w*|keys?|schemes?|headers?|credentials?|is|was|are|in|on|of|or|and|with|the|a|an|for|to|not|required|missing|needed|expected|format|realm.*)$/i;

type Rule = {
  readonly find: RegExp;
  readonly put: string | ((match: string, ...groups: string[]) => string);
};

const rules: readonly Rule[] = [
  {
    find: /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[^]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|$)/g,
    put: hidden,
  },
  { find: /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s"'<>`]{1,4000}/gi, put: withoutUser },
  {
    find: /\b(bearer|basic|digest|negotiate)( +|%20)([\w.~+/=-]{4,4000})/gi,
    put: (match, scheme, gap, token) => (isToken(scheme!, token!) ? `${scheme}${gap}${hidden}` : match),
  },
  // JSON Web Tokens; keys of AWS, GitHub, GitLab, Slack, Google, SendGrid, npm, PyPI, Hugging Face, DigitalOcean, Shopify, Square.
  { find: /\beyJ[\w-]{6,4000}(?:\.[\w-]{0,4000}){0,4}/g, put: hidden },
  { find: /\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{8,128}\b/g, put: hidden },
  { find: /\bgithub_pat_\w{4,256}|\bgh[opusr]_[A-Za-z0-9]{4,256}|\bglpat-[\w-]{4,256}/g, put: hidden },
  { find: /\bxox[a-z](?:-[A-Za-z0-9.]{1,128}){1,10}|\bxapp(?:-[A-Za-z0-9]{1,128}){1,10}/g, put: hidden },
  { find: /\bAIza[\w-]{20,128}|\bSG\.[\w-]{8,128}(?:\.[\w-]{1,128})?|\bya29\.[\w-]{8,1000}/g, put: hidden },
  {
    find: /\b(?:npm_|hf_|pypi-|dop_v1_|shp[a-z]{2}_|sq0[a-z]{3}-|lin_api_|phc_|rnd_)[\w-]{12,256}/g,
    put: hidden,
  },
  // Stripe, OpenAI, Anthropic, Resend, Mailgun, Standard Webhooks.
  { find: /\b(?:sk|rk|pk)_(?:live|test|prod)_\w{3,256}|\bwhsec_[\w+/=]{4,256}/g, put: hidden },
  { find: /\bsk-[\w-]{12,256}|\bkey-[0-9a-f]{16,64}|\b[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}\b/g, put: hidden },
  { find: /\bre_\w{6,256}/g, put: (match) => (/\d|[A-Z]/.test(match.slice(3)) ? hidden : match) },
  { find: /\b(?:AC|SK)[0-9a-f]{32}\b/g, put: hidden },
  // `password=…`, `"password": "…"`, `X-Api-Key: …`. An unquoted value after a colon is prose unless it looks like a key.
  {
    find: /(pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|(?:access|private|secret|signing|account|admin|encryption)[_-]?key|credentials?|authorization|sessionid)((?:\\?["'])?\s{0,4}[:=]\s{0,4})(\\?"[^"]{0,4000}\\?"?|\\?'[^']{0,4000}\\?'?|[^\s,;&"'<>(){}[\]\\]{1,4000})/gi,
    put: assignment,
  },
  { find: /\b((?:set-)?cookie["']?\s{0,4}[:=]\s{0,4})[^\r\n]{1,4000}/gi, put: `$1${hidden}` },
  {
    find: /([?&;])([\w.-]{1,60})=([^&\s"'<>#]{1,4000})/g,
    put: (match, mark, name) => (secretParameter.test(name!) ? `${mark}${name}=${hidden}` : match),
  },
];

export function hideShapes(text: string): string {
  let shown = text;
  for (const { find, put } of rules)
    shown = typeof put === 'string' ? shown.replaceAll(find, put) : shown.replaceAll(find, put);
  return shown;
}

/** Hides the user of a URL with the password. A password may contain `/`, `?`, `#` or `@` without encoding. */
function withoutUser(url: string): string {
  const start = url.indexOf('://') + 3;
  const rest = url.slice(start);
  const authority = /^[^/?#]*/.exec(rest)![0];
  const isWeb = /^(?:https?|wss?|ftp):/i.test(url);
  const broken = /:(?!\d{1,5}$)./.test(authority.replace(/^\[[^\]]*\]/, '')); // the text after the colon is no port
  const end = isWeb && !broken ? authority.lastIndexOf('@') : rest.lastIndexOf('@');
  return end === -1 ? url : `${url.slice(0, start)}${hidden}${rest.slice(end)}`;
}

function isToken(scheme: string, token: string): boolean {
  if (prose.test(token)) return false;
  if (scheme.toLowerCase() === 'bearer') return true;
  return token.length >= 8 && /\d|=|[A-Z].*[a-z]|[a-z].*[A-Z]/.test(token);
}

function assignment(match: string, name = '', sign = '', value = ''): string {
  if (/^(?:[=!]|null\b|undefined\b|true\b|false\b)/.test(value) || value === hidden) return match;
  const quote = /^\\?["']/.exec(value)?.[0] ?? '';
  if (quote !== '')
    return value.length <= quote.length * 2 ? match : `${name}${sign}${quote}${hidden}${quote}`;
  if (!sign.includes('=') && !/\d|[A-Z].*[a-z].*[A-Z]|[_-].*[_-]/.test(value)) return match;
  return `${name}${sign}${hidden}`;
}
