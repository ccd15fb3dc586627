// The part of the catalogue of configuration variables that is about sending email.

export type Variable = {
  readonly name: string;
  /** As a person would write it; null when there is none. */
  readonly default: string | null;
  readonly meaning: string;
  /** Never shown: a key, or a URL with a password in it. */
  readonly secret?: 'key' | 'url';
};

export const emailVariables: readonly Variable[] = [
  {
    name: 'WAYBILL_EMAIL_PROVIDER',
    default: 'log',
    meaning:
      'log (prints the mail; in production one redacted line), smtp, resend, postmark, sendgrid, ses, mailgun or inbox (stores it, to be read at /inbox); several of those that send, as resend,smtp: the first that is not parked sends',
  },
  {
    name: 'WAYBILL_EMAIL_FROM',
    default: null,
    meaning: 'default sender; a mail without from is refused at enqueue when neither is there',
  },
  {
    name: 'SMTP_URL',
    default: null,
    secret: 'url',
    meaning: 'smtp://user:pass@host:port or smtps://…, with ?tls= and ?ca=; required for smtp',
  },
  {
    name: 'WAYBILL_SMTP_CONNECTIONS',
    default: '5',
    meaning: 'connections of one process to the mail server, at most; 1 to 100',
  },
  {
    name: 'WAYBILL_SMTP_NAME',
    default: null,
    meaning:
      "what it says in EHLO: a full domain name, or an address in brackets; not set: the host's full name, else the sender's domain",
  },
  { name: 'RESEND_API_KEY', default: null, secret: 'key', meaning: 'key of Resend; required for resend' },
  {
    name: 'RESEND_BASE_URL',
    default: null,
    meaning: 'where its API is, if not at https://api.resend.com; http:// on this machine alone',
  },
  {
    name: 'RESEND_WEBHOOK_SECRET',
    default: null,
    secret: 'key',
    meaning: 'whsec_…: how Resend signs its reports; without it /webhooks/resend answers 503',
  },
  {
    name: 'POSTMARK_SERVER_TOKEN',
    default: null,
    secret: 'key',
    meaning: 'API token of a server of Postmark; required for postmark',
  },
  {
    name: 'POSTMARK_STREAM',
    default: 'outbound',
    meaning: "Postmark's message stream for transactional mail",
  },
  {
    name: 'POSTMARK_BROADCAST_STREAM',
    default: 'broadcast',
    meaning: "Postmark's message stream for broadcasts",
  },
  {
    name: 'POSTMARK_BASE_URL',
    default: null,
    meaning: 'where its API is, if not at https://api.postmarkapp.com; http:// on this machine alone',
  },
  {
    name: 'POSTMARK_WEBHOOK_CREDENTIALS',
    default: null,
    secret: 'key',
    meaning: "user:password of the webhook's URL at Postmark; without it /webhooks/postmark answers 503",
  },
  {
    name: 'SENDGRID_API_KEY',
    default: null,
    secret: 'key',
    meaning: 'key of SendGrid, allowed to send mail; required for sendgrid',
  },
  {
    name: 'SENDGRID_BASE_URL',
    default: null,
    meaning: 'where its API is: https://api.sendgrid.com, in the EU https://api.eu.sendgrid.com',
  },
  {
    name: 'SENDGRID_WEBHOOK_KEY',
    default: null,
    secret: 'key',
    meaning:
      'verification key of the signed event webhook of SendGrid; without it /webhooks/sendgrid answers 503',
  },
  {
    name: 'AWS_ACCESS_KEY_ID',
    default: null,
    meaning: 'id of an access key of AWS that may send mail; required for ses',
  },
  {
    name: 'AWS_SECRET_ACCESS_KEY',
    default: null,
    secret: 'key',
    meaning: 'its secret; required for ses',
  },
  {
    name: 'AWS_SESSION_TOKEN',
    default: null,
    secret: 'key',
    meaning: 'token of temporary credentials of AWS',
  },
  { name: 'AWS_REGION', default: null, meaning: 'region of Amazon SES, such as eu-west-1; required for ses' },
  {
    name: 'AWS_ENDPOINT_URL_SESV2',
    default: null,
    meaning: 'where its API is, if not at https://email.REGION.amazonaws.com',
  },
  {
    name: 'SES_CONFIGURATION_SET',
    default: null,
    meaning: "configuration set of Amazon SES; not set: the default one of the sender's identity",
  },
  {
    name: 'SES_TOPIC_ARN',
    default: null,
    meaning: 'topic of Amazon SNS that posts the reports of Amazon SES; without it /webhooks/ses answers 503',
  },
  {
    name: 'AWS_ENDPOINT_URL_SNS',
    default: null,
    meaning: 'where Amazon SNS is, if not at https://sns.REGION.amazonaws.com; http:// on this machine alone',
  },
  {
    name: 'MAILGUN_API_KEY',
    default: null,
    secret: 'key',
    meaning: 'key of Mailgun; a sending key of the domain is enough; required for mailgun',
  },
  { name: 'MAILGUN_DOMAIN', default: null, meaning: 'sending domain at Mailgun; required for mailgun' },
  {
    name: 'MAILGUN_BASE_URL',
    default: null,
    meaning: 'where its API is: https://api.mailgun.net, in the EU https://api.eu.mailgun.net',
  },
  {
    name: 'MAILGUN_WEBHOOK_SIGNING_KEY',
    default: null,
    secret: 'key',
    meaning: 'signing key of the webhooks of Mailgun; without it /webhooks/mailgun answers 503',
  },
];
