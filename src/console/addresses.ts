// The addresses of a page that is of one of several databases: each keeps `database=`, so that the choice stays in the URL.

/** Addresses of ours in attributes. Values in a page are escaped (markup.ts), so no text looks like an attribute. */
const attribute =
  /( (?:href|src|action|formaction|data-href)="| content="0; url=)(\/(?:console(?!\/assets\/)|inbox)(?:[/?#][^"]*)?)"/g;
/** A browser replaces the query of such a form's address by its fields. */
const getForm = /<form(?![^>]*\bmethod="(?:post|dialog)")[^>]*>/g;

/**
 * @param html a page of the console or the inbox
 * @param database a name of WAYBILL_DATABASES, which needs no escaping
 */
export function withDatabase(html: string, database: string): string {
  return html
    .replaceAll(
      attribute,
      (_, before: string, address: string) => `${before}${addressOf(address, database, '&amp;')}"`,
    )
    .replaceAll(getForm, `$&<input type="hidden" name="database" value="${database}" />`);
}

/**
 * @param address a path with its query; one that names a database already stays as it is
 * @param and between two parameters; in HTML it is escaped
 */
export function addressOf(address: string, database: string, and: '&' | '&amp;' = '&'): string {
  const [path = '', fragment] = address.split('#', 2);
  if (/[?&;]database=/.test(path)) return address;
  const joint = path.includes('?') ? and : '?';
  return `${path}${joint}database=${database}${fragment === undefined ? '' : `#${fragment}`}`;
}
