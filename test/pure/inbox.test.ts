import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredEmail } from '../../src/email/mailbox.ts';
import { listPage } from '../../src/inbox/list.ts';
import { mailPage } from '../../src/inbox/mail.ts';
import { escaped, linked, markup } from '../../src/console/markup.ts';
import { mailPolicy } from '../../src/console/mail.ts';

const unescaped = (text: string): string =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

/** Texts that are made to break out, and any others. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        '<',
        '>',
        '"',
        "'",
        '&',
        '</pre>',
        '<script>',
        'http://',
        'https://',
        'javascript:',
        ' ',
        '.',
        'a',
      ),
    )
    .map((parts) => parts.join('')),
);

describe('markup', () => {
  it('what is put in is text: nothing of it can end an element or an attribute, and all of it is there', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const { markup: made } = markup`<b title="${text}">${text}</b>`;
        const [, title, content] = /^<b title="([^<>"']*)">([^<>"']*)<\/b>$/s.exec(made)!;
        expect([unescaped(title!), unescaped(content!)]).toEqual([text, text]);
      }),
    );
  });

  it('markup that is put in stays markup, also as a list; null is nothing', () => {
    const inner = markup`<i>${'<'}</i>`;
    expect(markup`${inner}${[inner, inner]}${null}${7}`.markup).toBe(`${'<i>&lt;</i>'.repeat(3)}7`);
  });

  it('web addresses in a text become links, and nothing else does', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const made = linked(text)
          .map((one) => one.markup)
          .join('');
        for (const [, href] of made.matchAll(/href="([^"]*)"/g)) expect(href).toMatch(/^https?:\/\//);
        const rest = made.replaceAll(
          /<a href="[^"<>]*" target="_blank" rel="noopener noreferrer">|<\/a>/g,
          '',
        );
        expect(rest).not.toMatch(/[<>"']/);
        expect(unescaped(rest)).toBe(text);
      }),
    );
    const text = 'Confirm: https://shop.test/c?a=1&b=2. (http://x.test) javascript:alert(1) ftp://x';
    const hrefs = linked(text).flatMap((one) => /href="([^"]*)"/.exec(one.markup)?.[1] ?? []);
    expect(hrefs).toEqual(['https://shop.test/c?a=1&amp;b=2', 'http://x.test']);
  });

  it('a long text is looked through once: otherwise this would take hours', () => {
    expect(linked(`https://${'.'.repeat(1_000_000)}`)).toHaveLength(1);
    expect(linked('https://a.test '.repeat(50_000))).toHaveLength(100_001);
  });
});

const evil = `"><script>alert(1)</script></title></iframe><img src=x onerror=alert(1)>'`;
const mail: StoredEmail = {
  id: '0199c0de-0000-7000-8000-000000000000',
  from: `${evil}@b.test`,
  recipients: [evil, evil, evil, evil],
  subject: evil,
  storedAt: new Date('2026-01-01T00:00:00Z'),
  bytes: 5_000_000,
  html: '<script>alert(1)</script></iframe>',
  text: `${evil} javascript:alert(1) https://x.test/"onmouseover="alert(1)`,
  headers: [{ name: evil, value: evil }],
  attachments: [{ index: 0, filename: evil, cid: null, contentType: evil, bytes: 7 }],
};

describe('the pages', () => {
  const pages: [string, string][] = [
    ['list', listPage({ mails: [mail], nextCursor: evil, search: evil, later: true }).content.markup],
    ['empty list', listPage({ mails: [], nextCursor: null, search: evil, later: false }).content.markup],
    ['mail', mailPage(mail).content.markup],
  ];
  it.each(pages)('%s: nothing of a mail is markup', (_, text) => {
    expect(text).not.toMatch(/<script|<img/i);
    const tags = new Set([...text.matchAll(/<\/?([a-z0-9!]+)/gi)].map(([, tag]) => tag!.toLowerCase()));
    const known = 'a,b,bdi,button,dd,div,dl,dt,form,h1,h2,iframe,input,li,nav,p,pre,small,time,ul';
    for (const tag of tags) expect(known.split(',')).toContain(tag);
    for (const [, href] of text.matchAll(/(?:href|src|action)="([^"]*)"/g))
      expect(href).toMatch(/^(?:\/inbox(?:[/?]|$)|\/console\/messages\/|https:\/\/x\.test)/);
  });

  it('the html of the mail is not in the page, but in a frame with an empty sandbox', () => {
    expect(mailPage(mail).content.markup).toContain(`<iframe sandbox src="/inbox/${mail.id}/html"`);
    expect(mailPage({ ...mail, html: null }).content.markup).not.toContain('<iframe');
  });

  it('the policy of a mail allows no script and nothing from elsewhere', () => {
    expect(mailPolicy).toMatch(/^default-src 'none'; .*; sandbox$/);
    expect(mailPolicy).not.toMatch(/script-src|unsafe-eval|https?:|\*/);
  });

  it('a list of many shows what was asked for and where it goes on', () => {
    const text = listPage({ mails: [mail], nextCursor: '17', search: 'a&b', later: false }).content.markup;
    expect(text).toContain('href="/inbox?search=a%26b&amp;cursor=17"');
    expect(text).toContain('and 1 more');
    expect(escaped('a&b')).toBe('a&amp;b');
  });
});
