// The rules for SMTP replies, and for a missing reply. The reply code alone is ambiguous: 550 means an unknown recipient or a used-up quota,
// 432 a password problem or too many connections. So rules for the enhanced code, the stage and the text come first, then those of the RFCs.

/* oxlint-disable max-lines -- one table, read from the top */

import {
  all,
  any,
  certificate,
  code,
  enhanced,
  not,
  replies,
  reply,
  ruleFrom,
  says,
  to,
  toAuth,
  type Row,
} from '../rule.ts';

const refused = replies(4, 5);
const greeting = to('CONN', 'EHLO', 'HELO', 'LHLO');
const envelope = any(to('MAIL FROM', 'RCPT TO', 'DATA'), ({ command }) => command === undefined);

/** The recipient's address or mailbox (RFC 3463, 3.2 and 3.3). Servers use 5.2.0 and 5.1.90 for other things. */
const ofTheRecipient = all(enhanced('.1.', '.2.'), not(enhanced('.1.7', '.1.8', '.1.90', '.2.0', '.2.252')));

/** The message is too large or has too many recipients (RFC 3463, 3.4 and 3.6). */
const ofTheSize = enhanced('.3.4', '.5.3');

const tooManyConnections = says(
  /\btoo many (?:(?:concurrent|simultaneous|open|active|smtp) )*(?:connections?|sessions?)\b|\bconcurrent (?:smtp )?(?:connections?|sessions?)\b|\bconnection (?:rate|count) limit\b|\bthread limit exceeded\b/i,
);

const ofTheHello = says(
  /\b(?:helo|ehlo)\b[^\r\n]{0,80}\b(?:rejected|denied|refused|invalid|not allowed)\b|\binvalid (?:helo|ehlo)\b|\bfully[- ]qualified (?:host|domain) ?name\b/i,
);

/** The quota of the account, not of the recipient's mailbox. */
const ofTheQuota = any(
  enhanced('5.4.5', '5.1.90', '5.7.232', '5.7.233'),
  all(enhanced('5.7.1'), says(/\bemail quota exceeded\b/i)),
  says(/\bexceeded the max (?:emails|defers and failures) per hour\b/i),
  says(/STOREDRV\.Submission\.Exception:(?:Submission)?QuotaExceeded/i),
  all(
    not(any(ofTheRecipient, ofTheSize)),
    says(
      /\b(?:daily|hourly|monthly)\b[^\r\n]{0,60}\b(?:quota|limit|credits?)\b|\b(?:sending|submission|outbound|outgoing)\b[^\r\n]{0,30}\b(?:quota|limit)\b|\b(?:quota|limit|credits?) (?:is |has been |was )?(?:exceeded|exhausted|reached|used up)\b[^\r\n]{0,30}\b(?:account|today|day|month)\b|\bmaximum credits exceeded\b/i,
    ),
  ),
);

const ofTheAccount = any(
  enhanced('5.1.8', '5.7.13', '5.7.501', '5.7.502', '5.7.503', '5.7.705', '5.7.708', '5.7.750'),
  says(
    /\bnot authori[sz]ed to perform [`'"]?ses:|\bException:OutboundSpam|\bunusual sending activity\b|\boutgoing mail from \S{1,300} has been suspended\b|\baccount is not (?:yet )?activated\b|\bactivate your (?:\w{1,30} )?account\b/i,
  ),
  says(
    /\bsending (?:is |was |has been )?(?:suspended|paused|disabled|blocked) for (?:this|your) account\b|\b(?:your|sending|sender|smtp) account (?:is |was |has been )?(?:currently |temporarily )?(?:suspended|paused|disabled|blocked|locked|terminated|restricted|inactive|deactivated|not active)\b|\baccount (?:is |may )?not (?:allowed to |permitted to )?send\b|\bdomain \S{1,255} is not allowed to send\b|\bmail sending denied\b/i,
  ),
);

const ofTheSender = says(
  /\bnot (?:yet )?verified\b|\bverified sender\b|\bsend as (?:this|the) sender\b|SendAsDenied|\bnot allowed to send as\b|\bnot owned by\b/i,
);

const noRelay = says(
  /\brelay(?:ing)?\b[^\r\n]{0,20}\b(?:denied|not (?:permitted|allowed|authori[sz]ed)|prohibited|refused|rejected)\b|\b(?:unable|not (?:permitted|allowed|authori[sz]ed)) to relay\b|\b(?:do(?:es)? not|don't|doesn't|cannot|can't|won't) relay\b|\bcredentials for relay\b/i,
);

/** A reply about SPF, DKIM or DMARC concerns the sender's domain, not the login. */
const noLogin = all(
  not(says(/\b(?:SPF|DKIM|DMARC)\b/i)),
  says(
    /\bauth(?:entication|enticate)?\b[^\r\n]{0,30}\b(?:required|needed|first)\b|\b(?:must|please|need to|have to) (?:first )?(?:authenticate|log ?in)\b|\bnot (?:been )?authenticated\b|\bnot logged in\b|\bunauthenticated senders? not allowed\b|\bbasic auth(?:entication)? is (?:not supported|disabled)\b/i,
  ),
);

const noTls = says(/\bSTARTTLS\b|\bTLS (?:is )?required\b|\bencryption (?:is )?required\b/i);

const ofOurHost = says(
  /\bclient host (?:\S{1,255} )?(?:rejected|blocked|denied)\b|\b(?:banned|blocked|blacklisted|blocklisted) (?:sending )?IP\b|\byour IP(?: address)?\b|\bIP (?:address )?\S{0,50} ?(?:is |has been |was )(?:blocked|banned|listed|blacklisted|blocklisted|not authori[sz]ed)\b|\bthe IP you're using\b|\bunauthori[sz]ed IP\b|\bmessages from \[[^\]\r\n]{1,60}\] weren't sent\b/i,
);

const aboutUs: readonly Row[] = [
  {
    provider: 'Microsoft 365, Amazon SES, Postfix',
    when: '421, `432 4.3.2` or another refusal that says "too many connections"',
    type: 'transient',
    fewerConnections: true,
    why: 'the server has too many connections of ours',
    source: 'learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements',
    fits: all(refused, tooManyConnections),
  },
  {
    provider: 'any, Gmail',
    stage: 'EHLO, HELO',
    when: '421 or 5yz',
    type: 'operator',
    why: 'the server does not accept the name by which we greet it (WAYBILL_SMTP_NAME)',
    source: 'RFC 5321, 4.1.4; support.google.com/a/answer/3726730',
    fits: all(any(reply(421), replies(5)), to('EHLO', 'HELO', 'LHLO')),
  },
  {
    provider: 'Postfix',
    stage: 'MAIL, RCPT, DATA',
    when: '"Helo command rejected" (450, 504, 550 …)',
    type: 'operator',
    why: 'the server does not accept the name by which we greet it (WAYBILL_SMTP_NAME)',
    source: 'postconf(5): smtpd_helo_restrictions, smtpd_delay_reject',
    fits: all(refused, envelope, ofTheHello),
  },
  {
    provider: 'Amazon SES',
    when: '454 "Maximum sending rate exceeded"',
    type: 'transient',
    holdsQueue: true,
    why: 'the provider wants fewer messages at a time',
    source: 'docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html',
    fits: all(refused, says(/\bmaximum sending rate exceeded\b/i)),
  },
  {
    provider: 'Gmail, Microsoft 365, Amazon SES, SendGrid, cPanel',
    when: '5.4.5, 5.1.90, 5.7.232, 5.7.233, "SubmissionQuotaExceeded", "Daily message quota exceeded", "Maximum credits exceeded", "exceeded the max emails per hour"',
    type: 'operator',
    why: "the provider's quota is used up",
    source:
      'support.google.com/a/answer/3726730; learn.microsoft.com, as above; docs.aws.amazon.com, as above; twilio.com/docs/sendgrid, SMTP errors',
    fits: all(refused, ofTheQuota),
  },
  {
    provider: 'Amazon SES, SendGrid, Microsoft 365, Postfix',
    stage: 'MAIL, RCPT, DATA',
    when: '5yz that says that the sender is not verified or not ours',
    type: 'permanent',
    why: "the server does not accept the message's sender",
    source: 'docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html',
    fits: all(replies(5), envelope, ofTheSender),
  },
  {
    provider: 'Amazon SES, Mailgun, Microsoft 365, Gmail, Zoho, Brevo',
    when: '5.1.8, 5.7.13, 5.7.501 to 5.7.503, 5.7.705, 5.7.708, 5.7.750, "Sending suspended", "not allowed to send", "not authorized to perform ses:…", "OutboundSpamException", "Unusual sending activity", "not yet activated"',
    type: 'operator',
    maybeOwn: true,
    why: 'the provider has closed our account',
    source:
      'docs.aws.amazon.com, as above; RFC 5248 (5.7.13); learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr/non-delivery-reports-in-exchange-online; github.com/cachethq/cachet/issues/3052 (Zoho); github.com/supabase/agent-skills/issues/133 (Brevo)',
    fits: all(refused, ofTheAccount),
  },
  {
    provider: 'Postfix, Microsoft 365, Mailgun, Gmail',
    stage: 'MAIL, RCPT, DATA',
    when: '`554 5.7.1` "Relay access denied", 5.7.54, 5.7.64',
    type: 'operator',
    maybeOwn: true,
    why: 'the server does not relay for us',
    source: 'postconf(5): smtpd_relay_restrictions; RFC 3463, 3.8 (X.7.1)',
    fits: all(refused, any(noRelay, enhanced('5.7.54', '5.7.64'))),
  },
  {
    provider: 'Microsoft 365, Postfix',
    stage: 'MAIL, RCPT, DATA',
    when: '"Must issue a STARTTLS command first", `451 5.7.3` "STARTTLS is required"',
    type: 'operator',
    why: 'no trusted encryption with the server',
    source: 'RFC 3207, 4',
    fits: all(refused, any(envelope, toAuth), noTls),
  },
  {
    provider: 'any, Microsoft 365',
    stage: 'MAIL, RCPT, DATA',
    when: '5yz that says that a login is needed, or another than with a password (550, 553, 503; 5.7.57, 5.7.30)',
    type: 'operator',
    why: 'the server does not accept our login',
    source: 'RFC 4954, 6',
    fits: all(replies(5), envelope, any(noLogin, enhanced('5.7.57', '5.7.30'))),
  },
  {
    provider: 'Postfix, Gmail, Brevo',
    stage: 'MAIL, RCPT, DATA',
    when: '5yz that says that our host or its IP address is blocked',
    type: 'operator',
    maybeOwn: true,
    why: 'the server does not talk to our host',
    source: 'postconf(5): reject_rbl_client; support.google.com/a/answer/3726730',
    fits: all(replies(5), any(envelope, toAuth), ofOurHost),
  },
];

const byTheRfcs: readonly Row[] = [
  {
    when: '421',
    type: 'transient',
    why: 'the server is closing its service',
    source: 'RFC 5321, 3.8 and 4.2.3',
    fits: reply(421),
  },
  {
    when: '503',
    type: 'transient',
    why: 'the session was out of step',
    source: 'RFC 5321, 4.2.3',
    fits: reply(503),
  },
  {
    when: '454',
    type: 'transient',
    why: 'the server cannot authenticate or encrypt at present',
    source: 'RFC 4954, 6; RFC 3207, 4',
    fits: reply(454),
  },
  {
    when: '523, 524, 525, 530, 534, 535, 538',
    type: 'operator',
    why: 'the server does not accept our login',
    source: 'RFC 4954, 6; RFC 5248',
    fits: reply(523, 524, 525, 530, 534, 535, 538),
  },
  {
    stage: 'AUTH',
    when: '432 and every other refusal; no credentials',
    type: 'operator',
    why: 'the server does not accept our login',
    source: 'RFC 4954, 6 (432: a password transition is needed)',
    fits: any(code('EAUTH', 'ENOAUTH', 'EOAUTH2'), all(refused, toAuth)),
  },
  {
    stage: 'connection, STARTTLS',
    when: 'a certificate that is expired, of another name or not trusted; no TLS where it is required',
    type: 'operator',
    why: 'no trusted encryption with the server',
    source: 'RFC 8314, 5.2; RFC 6125, 6.6; RFC 3207, 4',
    fits: certificate,
  },
  {
    stage: 'connection',
    when: 'a host that does not exist',
    type: 'operator',
    why: "the provider's host does not exist",
    source: 'RFC 5321, 5.1',
    fits: code('ENOTFOUND', 'ECONFIG'),
  },
  {
    stage: 'greeting',
    when: '5yz: no message has been mentioned yet',
    type: 'operator',
    why: 'the server does not talk to us',
    source: 'RFC 5321, 3.1; RFC 7504, 3',
    fits: all(replies(5), greeting),
  },
  {
    provider: 'Gmail',
    stage: 'RCPT, DATA',
    when: '"receiving mail too quickly", "at a rate that prevents" (450 and 550)',
    type: 'transient',
    why: 'the recipient gets too much mail at present',
    source: 'support.google.com/a/answer/3726730',
    fits: all(refused, says(/\breceiving mail (?:too quickly|at a rate)\b/i)),
  },
  {
    stage: 'RCPT',
    when: '552 without an enhanced code, or 5.5.3: an old way of saying 452',
    type: 'transient',
    why: 'the server wants fewer recipients at a time',
    source: 'RFC 5321, 4.5.3.1.10',
    fits: all(
      reply(552),
      to('RCPT TO'),
      any(({ enhancedCode }) => enhancedCode === undefined, enhanced('5.5.3')),
    ),
  },
  {
    when: '4yz otherwise (`452 4.5.3`, `450 4.2.1`, `451 4.7.1` …)',
    type: 'transient',
    why: 'the server asks to try again',
    source: 'RFC 5321, 4.2.1; RFC 3463, 2',
    fits: replies(4),
  },
  {
    stage: 'RCPT, DATA',
    when: '5.1.z, 5.2.z; at RCPT 550, 551 or 553 without an enhanced code: unknown, disabled, full',
    type: 'permanent',
    recipient: true,
    why: 'the server refuses the message',
    source: 'RFC 3463, 3.2 and 3.3; RFC 5321, 4.2.3',
    fits: any(
      all(replies(5), to('RCPT TO', 'DATA'), ofTheRecipient),
      all(reply(550, 551, 553), to('RCPT TO'), ({ enhancedCode }) => enhancedCode === undefined),
    ),
  },
  {
    when: '5yz otherwise',
    type: 'permanent',
    why: 'the server refuses the message',
    source: 'RFC 5321, 4.2.1',
    fits: replies(5),
  },
];

const withoutReply: readonly Row[] = [
  // Nodemailer compares with the limit from EHLO, so there is no reply.
  {
    stage: 'MAIL',
    when: 'larger than the SIZE that the server announced',
    type: 'permanent',
    why: 'the message is larger than the server takes',
    source: 'RFC 1870, 6.1',
    fits: all(code('EMESSAGE'), to('MAIL FROM')),
  },
  {
    stage: 'before the connection',
    when: 'a message that cannot be written',
    type: 'permanent',
    why: 'the message cannot be sent',
    source: 'nodemailer.com/errors',
    fits: all(code('EENVELOPE', 'EMESSAGE', 'EFILEACCESS', 'EURLACCESS', 'EMAXRECIPIENTS'), to('API')),
  },
  // The message may have been accepted, so a retry may duplicate it.
  {
    stage: 'after the body',
    when: 'the connection is lost before the answer',
    type: 'transient',
    why: 'the connection was lost after the message, before its reply',
    source: 'RFC 5321, 4.5.3.2.6 and 6.1',
    fits: ({ phase }) => phase === 'sent',
  },
  {
    stage: 'before the body',
    when: 'refused, reset, timed out, a name server that does not answer',
    type: 'transient',
    why: 'the message did not reach the server',
    source: 'RFC 5321, 4.5.4.1',
    fits: () => true,
  },
];

export const smtpRules = [...aboutUs, ...byTheRfcs, ...withoutReply].map(ruleFrom);
