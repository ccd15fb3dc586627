// Statements that mean the same under any search_path. Our own connections have pg_catalog first (settings.ts). The application's keep their path;
// with `search_path = shop, pg_catalog`, a function `shop.now()` or an operator of that schema would win over Postgres's.

/** Not `unnest` of several arrays: it means Postgres's own, and is unknown when qualified with a schema. */
const functions =
  'array_position|array_to_json|clock_timestamp|count|date_part|gen_random_uuid|hashtextextended|jsonb_populate_record|jsonb_to_recordset|lpad|max|min|now|pg_try_advisory_xact_lock|repeat|right|row_number|sum|to_hex|to_jsonb|to_timestamp';
const calls = new RegExp(`^(?:${functions})$`);
const types: Readonly<Record<string, string>> = {
  text: 'text',
  uuid: 'uuid',
  jsonb: 'jsonb',
  timestamptz: 'timestamptz',
  float8: 'float8',
  int8: 'int8',
  bool: 'bool',
};

/** Texts, names in quotes, comments and parameters stay unchanged; then words, casts and operators. */
const token = /'(?:[^']|'')*'|"[^"]*"|--[^\n]*|\$\d+|::|[A-Za-z_][\w]*|[-+*/<>=~!@#%^&|`?]+|\d[\w.]*|[\s\S]/g;

const operators = /^(?:=|<>|<|>|<=|>=|\+|-|\*|\|\||->|->>)$/;

const known = new Map<string, string>();

/** For our own statements only, which keep these rules (a test compares the plans of both forms of each). */
export function qualified(sql: string): string {
  let made = known.get(sql);
  if (made === undefined) known.set(sql, (made = qualify(sql)));
  return made;
}

/** The `=` of `set a = …, b = …` is not an operator. */
type Assigning = { readonly depth: number; isOpen: boolean };

function qualify(sql: string): string {
  const tokens = sql.match(token) ?? [];
  let depth = 0;
  const assigning: Assigning[] = [];
  const next = (i: number): string => tokens.slice(i + 1).find((each) => !/^\s$/.test(each)) ?? '';
  return tokens
    .map((each, i) => {
      const before = tokens[i - 1] ?? '';
      const current = assigning.at(-1);
      if (each === '(') depth += 1;
      if (each === ')') depth -= 1;
      if (current && depth < current.depth) assigning.pop();
      if (each === ',' && current?.depth === depth) current.isOpen = true;
      if (/^set$/i.test(each)) assigning.push({ depth, isOpen: true });
      if (/^(?:from|where|returning)$/i.test(each) && current?.depth === depth) assigning.pop();
      if (before === '::' && each in types) return `pg_catalog.${types[each]}`;
      if (calls.test(each) && before !== '.' && next(i) === '(') return `pg_catalog.${each}`;
      if (!operators.test(each)) return each;
      if (each === '*' && !isOperand(tokens, i)) return each; // count(*), select *
      if (each === '=' && current?.isOpen && current.depth === depth) {
        current.isOpen = false;
        return each;
      }
      return `operator(pg_catalog.${each})`;
    })
    .join('');
}

function isOperand(tokens: readonly string[], i: number): boolean {
  const before = tokens.slice(0, i).findLast((each) => !/^\s$/.test(each)) ?? '';
  return (
    /^[\w)$']/.test(before.at(-1) ?? '') && !/^(?:select|returning|,|\.)$/i.test(before) && before !== '('
  );
}
