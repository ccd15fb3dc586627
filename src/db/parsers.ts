// Our own parsers of values from Postgres. pg's parsers are in a table shared by the whole process, so an application that changes one
// (`pg.types.setTypeParser`) would change our results.

type Parser = (text: string) => unknown;

const number: Parser = Number;
const json: Parser = (text) => JSON.parse(text) as unknown;

/** Other types stay texts, including int8 and numeric, which a JavaScript number cannot always hold. */
const parsers: ReadonlyMap<number, Parser> = new Map<number, Parser>([
  [16, (text) => text === 't'], // bool
  [17, (text) => Buffer.from(text.slice(2), 'hex')], // bytea, bytea_output = hex
  [21, number], // int2
  [23, number], // int4
  [26, number], // oid
  [700, number], // float4
  [701, number], // float8
  [114, json],
  [3802, json], // jsonb
  [1184, parseTime], // timestamptz
  [1007, (text) => parseArray(text).map((one) => (one === null ? null : Number(one)))], // int4[]
  [1009, parseArray], // text[]
  [2951, parseArray], // uuid[]
]);

const asItIs: Parser = (text) => text;

/** The form of pg's option `types`. */
export const ownTypes = {
  getTypeParser(oid: number, format: 'text' | 'binary' = 'text'): Parser {
    if (format === 'binary') return asText;
    return parsers.get(oid) ?? asItIs;
  },
};

/** For a client in binary mode, where our statements select only texts. */
const asText = ((bytes: Buffer) => bytes.toString('utf8')) as unknown as Parser;

const iso =
  /^(\d{4,})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(\.\d+)?(?:Z|([+-])(\d\d):?(\d\d)?(?::?(\d\d))?)?( BC)?$/;

/** A timestamptz under DateStyle ISO. Returns Infinity for `infinity`, and an invalid Date for times that JavaScript cannot hold. */
export function parseTime(text: string): Date | number {
  if (text === 'infinity') return Number.POSITIVE_INFINITY;
  if (text === '-infinity') return Number.NEGATIVE_INFINITY;
  const found = iso.exec(text);
  if (!found) return new Date(Number.NaN);
  const [, years, month, day, hours, minutes, seconds, fraction = '0', sign, zoneHours = '0'] = found;
  const [zoneMinutes = '0', zoneSeconds = '0', era] = found.slice(10);
  const time = new Date(0);
  time.setUTCFullYear(era ? 1 - Number(years) : Number(years), Number(month) - 1, Number(day));
  time.setUTCHours(Number(hours), Number(minutes), Number(seconds), Math.floor(Number(fraction) * 1_000));
  const zone = Number(zoneHours) * 3_600 + Number(zoneMinutes) * 60 + Number(zoneSeconds);
  return new Date(time.getTime() - (sign === '-' ? -zone : zone) * 1_000);
}

/** An array of one dimension as Postgres writes it: `{a,"b \"c\"",NULL}`. */
export function parseArray(text: string): (string | null)[] {
  const elements = text.slice(1, -1).matchAll(/"((?:[^"\\]|\\[\s\S])*)"|([^,]+)/g);
  return [...elements].map(([, quoted, bare]) => {
    if (quoted !== undefined) return quoted.replaceAll(/\\([\s\S])/g, '$1');
    return bare === undefined || bare.toUpperCase() === 'NULL' ? null : bare;
  });
}
