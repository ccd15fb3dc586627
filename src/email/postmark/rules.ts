// The rules for Postmark's refusals, matched by the ErrorCode in the body: nearly all come with HTTP 422.
// Codes of its other APIs (templates, servers, webhooks …) are no answer to an email; the rules of HTTP would take them as permanent.

import { all, any, code, rulesOf, says, status, type Row } from '../rule.ts';

const errorCodes = 'postmarkapp.com/developer/api/overview#error-codes';

const refusals: readonly Row[] = [
  {
    when: '401, or ErrorCode 10: no valid server token',
    type: 'operator',
    why: 'the provider does not accept our key',
    source: errorCodes,
    fits: any(status(401), code('10')),
  },
  {
    when: 'ErrorCode 100: maintenance',
    type: 'transient',
    why: 'the provider fails at present',
    source: errorCodes,
    fits: code('100'),
  },
  {
    when: '429, or ErrorCode 429',
    type: 'transient',
    holdsQueue: true,
    why: 'the provider wants fewer requests',
    source: errorCodes,
    fits: any(status(429), code('429')),
  },
  {
    when: 'ErrorCode 405: no credits are left',
    type: 'operator',
    why: "the provider's quota is used up",
    source: errorCodes,
    fits: code('405'),
  },
  {
    when: 'ErrorCode 413, 422: the account may not send, or is not valid',
    type: 'operator',
    why: 'the provider has closed our account',
    source: errorCodes,
    fits: code('413', '422'),
  },
  {
    when: 'ErrorCode 1480: our IP address is not allowed to send',
    type: 'operator',
    why: 'the provider does not talk to our host',
    source: errorCodes,
    fits: code('1480'),
  },
  // Until the account is approved, emails to the sender's own domain pass.
  {
    when: 'ErrorCode 412: the account waits for its approval',
    type: 'operator',
    maybeOwn: true,
    why: 'the provider has closed our account',
    source: errorCodes,
    fits: code('412'),
  },
  {
    when: 'ErrorCode 1235, 1236: the message stream does not exist, or takes no emails (POSTMARK_STREAM, POSTMARK_BROADCAST_STREAM)',
    type: 'operator',
    maybeOwn: true,
    why: 'the provider does not know our message stream',
    source: errorCodes,
    fits: code('1235', '1236'),
  },
  {
    when: 'ErrorCode 406: all recipients are inactive (an earlier hard bounce, a complaint, a suppression)',
    type: 'permanent',
    recipient: true,
    why: 'the provider does not send to this recipient',
    source: errorCodes,
    fits: code('406'),
  },
  {
    when: 'ErrorCode 300 "Invalid \'To\' address", "Error parsing \'Cc\'"',
    type: 'permanent',
    oneRecipient: true,
    why: 'the provider does not send to this recipient',
    source: 'github.com/ActiveCampaign/postmark-gem/issues/87',
    fits: all(code('300'), says(/\b(?:Invalid|Error parsing) '(?:To|Cc|Bcc)'/i)),
  },
  {
    when: 'ErrorCode 400, 401: no confirmed sender signature for the sender',
    type: 'permanent',
    why: "the provider does not accept the message's sender",
    source: errorCodes,
    fits: code('400', '401'),
  },
  {
    when: 'ErrorCode 11, 300 otherwise, 402, 403, 409, 411: a field, an address or an attachment is not valid',
    type: 'permanent',
    why: 'the provider refuses the message',
    source: errorCodes,
    fits: code('11', '300', '402', '403', '409', '411'),
  },
];

export const postmarkRules = rulesOf('postmark', 'Postmark', refusals);
