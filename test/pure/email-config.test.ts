// The settings of the email providers with HTTP APIs, read from an environment that the test makes.

import { expect, it, test } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/config.ts';

const good = { DATABASE_URL: 'postgres://ann:pw@db.test/shop' };

const keys = {
  RESEND_API_KEY: 're_123456789abcdef',
  POSTMARK_SERVER_TOKEN: '0f9c1a52-3b7e-4d21-9a64-5e8d7c6b4a30',
  SENDGRID_API_KEY: 'SG.ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf',
  MAILGUN_API_KEY: '0123456789abcdef0123456789abcdef-01234567-89abcdef',
  AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
};
const aws = {
  AWS_ACCESS_KEY_ID: keys.AWS_ACCESS_KEY_ID,
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  AWS_REGION: 'eu-west-1',
};

function problems(env: Record<string, string>): Record<string, string> {
  try {
    readConfig({ ...good, ...env });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return Object.fromEntries(error.problems.map(({ variable, message }) => [variable, message]));
  }
  return {};
}

test.each([
  ['postmark', ['POSTMARK_SERVER_TOKEN']],
  ['sendgrid', ['SENDGRID_API_KEY']],
  ['ses', ['AWS_ACCESS_KEY_ID', 'AWS_REGION', 'AWS_SECRET_ACCESS_KEY']],
  ['mailgun', ['MAILGUN_API_KEY', 'MAILGUN_DOMAIN']],
])('%s asks for all that it lacks, at once', (provider, needed) => {
  const found = problems({ WAYBILL_EMAIL_PROVIDER: provider });
  expect(Object.keys(found).toSorted()).toEqual(needed);
  for (const message of Object.values(found)) expect(message).toContain(`WAYBILL_EMAIL_PROVIDER is ${provider}`);
}); // prettier-ignore

it('reads the settings of each', () => {
  const config = readConfig({
    ...good,
    ...keys,
    ...aws,
    WAYBILL_EMAIL_PROVIDER: 'ses',
    POSTMARK_BROADCAST_STREAM: 'news',
    SENDGRID_BASE_URL: 'https://api.eu.sendgrid.com/',
    MAILGUN_DOMAIN: 'mg.shop.example',
    AWS_SESSION_TOKEN: 'token/with+signs=',
  });
  expect(config).toMatchObject({
    emailProviders: ['ses'],
    postmark: {
      serverToken: keys.POSTMARK_SERVER_TOKEN,
      baseUrl: 'https://api.postmarkapp.com',
      streams: { transactional: 'outbound', broadcast: 'news' },
    },
    sendgrid: { apiKey: keys.SENDGRID_API_KEY, baseUrl: 'https://api.eu.sendgrid.com' },
    ses: {
      credentials: {
        accessKeyId: aws.AWS_ACCESS_KEY_ID,
        secretAccessKey: aws.AWS_SECRET_ACCESS_KEY,
        sessionToken: 'token/with+signs=',
        region: 'eu-west-1',
      },
      baseUrl: 'https://email.eu-west-1.amazonaws.com',
      configurationSet: null,
    },
    mailgun: {
      apiKey: keys.MAILGUN_API_KEY,
      domain: 'mg.shop.example',
      baseUrl: 'https://api.mailgun.net',
    },
  });
});

it('variables of AWS that serve other purposes are not judged', () => {
  const other = { AWS_ACCESS_KEY_ID: 'test', AWS_REGION: 'local', AWS_ENDPOINT_URL_SESV2: 'http://localstack:4566' };
  expect(problems(other)).toEqual({});
  expect(Object.keys(problems({ ...other, WAYBILL_EMAIL_PROVIDER: 'ses' })).toSorted()).toEqual([
    'AWS_ACCESS_KEY_ID',
    'AWS_ENDPOINT_URL_SESV2',
    'AWS_REGION',
    'AWS_SECRET_ACCESS_KEY',
  ]);
}); // prettier-ignore

const variables = Object.keys(keys) as (keyof typeof keys)[];

test.each(variables.flatMap((from) => variables.filter((to) => to !== from).map((to) => [from, to] as const)))(
  'the key of %s in %s is told where it belongs, and is not repeated',
  (from, to) => {
    const env = { WAYBILL_EMAIL_PROVIDER: 'ses', ...aws, [to]: keys[from] };
    const found = problems(env);
    expect(Object.keys(found)).toEqual([to]);
    expect(found[to]).toContain(`set it as ${from}`);
    expect(found[to]).not.toContain(keys[from]);
  },
); // prettier-ignore

it('the id and the secret of a key of AWS in each other’s place', () => {
  const env = { WAYBILL_EMAIL_PROVIDER: 'ses', ...aws };
  expect(problems({ ...env, AWS_SECRET_ACCESS_KEY: aws.AWS_ACCESS_KEY_ID })).toEqual({
    AWS_SECRET_ACCESS_KEY: expect.stringContaining('set it as AWS_ACCESS_KEY_ID') as string,
  });
  expect(problems({ ...env, AWS_ACCESS_KEY_ID: aws.AWS_SECRET_ACCESS_KEY })).toEqual({
    AWS_ACCESS_KEY_ID: expect.stringContaining('must be the id of an access key') as string,
  });
});

test.each<[variable: string, value: string, said: RegExp]>([
  ['POSTMARK_SERVER_TOKEN', 'two words', /without spaces/],
  ['POSTMARK_STREAM', '7th', /id of a message stream/],
  ['POSTMARK_BASE_URL', 'http://api.postmarkapp.com', /must begin with https:/],
  ['SENDGRID_API_KEY', 'whsec_c2VjcmV0', /signing secret.*RESEND_WEBHOOK_SECRET/],
  ['SENDGRID_BASE_URL', 'eu', /a URL like https:/],
  ['MAILGUN_DOMAIN', 'https://mg.shop.example', /the sending domain, such as/],
  ['MAILGUN_DOMAIN', 'mg.shop.example/../other', /the sending domain, such as/],
])('%s=%s is refused', (variable, value, said) => {
  expect(problems({ [variable]: value })).toEqual({ [variable]: expect.stringMatching(said) as string });
});

it('in China the API has another name', () => {
  const env = { ...good, ...aws, WAYBILL_EMAIL_PROVIDER: 'ses', AWS_REGION: 'cn-north-1' };
  expect(readConfig(env).ses?.baseUrl).toBe('https://email.cn-north-1.amazonaws.com.cn');
});

it('reports of SES come from a topic, at its region or where AWS_ENDPOINT_URL_SNS says', () => {
  const arn = 'arn:aws:sns:eu-west-1:123456789012:emails';
  const topic = (env: Record<string, string>) => readConfig({ ...good, ...env }).reports.ses;
  expect(topic({ SES_TOPIC_ARN: arn })).toEqual({ arn, baseUrl: 'https://sns.eu-west-1.amazonaws.com' });
  const stand = { AWS_ENDPOINT_URL_SNS: 'http://localhost:4566' };
  expect(topic({ SES_TOPIC_ARN: arn, ...stand })).toEqual({ arn, baseUrl: 'http://localhost:4566' });
  expect(topic({ AWS_ENDPOINT_URL_SNS: 'http://elsewhere:4566' })).toBeNull();
});

test.each<[variable: string, value: string, said: RegExp]>([
  ['SES_TOPIC_ARN', 'emails', /must be the ARN of a standard topic/],
  ['SES_TOPIC_ARN', 'arn:aws:sns:eu-west-1:123456789012:emails.fifo', /standard topic/],
  ['SES_TOPIC_ARN', 'arn:aws:sns:evil.test/:123456789012:emails', /standard topic/],
  ['POSTMARK_WEBHOOK_CREDENTIALS', 'password', /must be user:password/],
  ['SENDGRID_WEBHOOK_KEY', 'c2VjcmV0', /verification key/],
])('%s=%s is refused, without its value', (variable, value, said) => {
  const found = problems({ [variable]: value });
  expect(found).toEqual({ [variable]: expect.stringMatching(said) as string });
  expect(JSON.stringify(found)).not.toContain(`"${value}"`);
});
