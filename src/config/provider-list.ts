// The list of email providers in WAYBILL_EMAIL_PROVIDER: one name, or several in the order in which they are wanted.

import { nearest } from '../nearest.ts';
import type { Report } from './admin-keys.ts';

export const emailProviders = [
  'log',
  'smtp',
  'resend',
  'postmark',
  'sendgrid',
  'ses',
  'mailgun',
  'inbox',
] as const;
export type EmailProviderName = (typeof emailProviders)[number];

/** The variables without which a provider cannot send, each with an example. */
const neededFor: Readonly<Record<EmailProviderName, Readonly<Record<string, string>>>> = {
  log: {},
  inbox: {},
  smtp: { SMTP_URL: 'smtp://user:password@host:587' },
  resend: { RESEND_API_KEY: 're_…' },
  postmark: { POSTMARK_SERVER_TOKEN: 'the API token of a server' },
  sendgrid: { SENDGRID_API_KEY: 'SG.…' },
  ses: {
    AWS_ACCESS_KEY_ID: 'AKIA…',
    AWS_SECRET_ACCESS_KEY: 'the secret of that key',
    AWS_REGION: 'eu-west-1',
  },
  mailgun: { MAILGUN_API_KEY: 'a sending key of the domain', MAILGUN_DOMAIN: 'mg.shop.example' },
};

/** They send nothing, so nothing can stand behind them. */
const alone: readonly EmailProviderName[] = ['log', 'inbox'];

const variable = 'WAYBILL_EMAIL_PROVIDER';

/** @returns none if the variable is not set, or wrong */
export function readProviders(value: string | undefined, report: Report): readonly EmailProviderName[] {
  if (value === undefined) return [];
  const names = value.split(',').map((name) => name.trim());
  const problem = problemOf(names);
  if (problem === undefined) return names as EmailProviderName[];
  report(variable, problem);
  return [];
}

function problemOf(names: readonly string[]): string | undefined {
  const all: readonly string[] = emailProviders;
  const unknown = names.find((name) => name !== '' && !all.includes(name));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  const lonely = alone.find((name) => names.includes(name));
  const several = emailProviders.filter((name) => !alone.includes(name)).join(', ');
  if (names.includes('')) return 'has an empty name: write one comma between two names, and none at the ends';
  if (unknown !== undefined) {
    const said = names.length > 1 ? `names ${JSON.stringify(unknown.slice(0, 40))}, and ` : '';
    const meant = nearest(unknown, all);
    return `${said}must be one of ${all.join(', ')}, or several of ${several} with commas between them${meant ? `; was ${meant} meant?` : ''}`;
  }
  if (twice !== undefined) return `names ${twice} twice: name each provider once`;
  if (names.length > 1 && lonely !== undefined)
    return `names ${lonely} beside others: it sends nothing, so name it alone, or list only ${several}`;
  return undefined;
}

/** Reports the settings that a provider of the list lacks. */
export function reportMissing(
  names: readonly EmailProviderName[],
  isSet: (variable: string) => boolean,
  report: Report,
): void {
  for (const name of names)
    for (const [setting, example] of Object.entries(neededFor[name]))
      if (!isSet(setting)) report(setting, `is required when ${variable} is ${names.join(',')}: ${example}`);
}
