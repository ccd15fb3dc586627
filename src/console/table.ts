// Tables of the pages. On a phone each row becomes a card, where every value stands beside its column's name.

import { markup, type Markup } from './markup.ts';

export type Column<Row> = {
  readonly head: string;
  readonly cell: (row: Row) => Markup | string | number | null;
  /** `n`: a number, at the right; `lead`: the card's title on a phone; `tight`: as narrow as its
   * content; `whole`: its words are not broken; `box`: a checkbox; `wide`: not on a phone. */
  readonly as?: 'n' | 'lead' | 'tight' | 'whole' | 'box' | 'n wide' | 'wide';
};

export type Options<Row> = {
  readonly empty: Markup;
  /** Where Enter leads from the row. */
  readonly href?: (row: Row) => string;
  /** An id that is the same at the next look, so that the script finds new rows. */
  readonly id?: (row: Row) => string;
  /** A class of the table. */
  readonly kind?: string;
};

export function table<Row>(
  label: string,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { empty, href, id, kind = '' }: Options<Row>,
): Markup {
  if (rows.length === 0) return markup`<div class="sheet empty">${empty}</div>`;
  return markup`<div class="sheet ${kind}"><table aria-label="${label}">
    <thead><tr>${columns.map(({ head, as }) => markup`<th scope="col" class="${as ?? ''}">${head}</th>`)}</tr></thead>
    <tbody>${rows.map(
      (row) =>
        markup`<tr${href ? markup` data-href="${href(row)}"` : null}${id ? markup` data-id="${id(row)}"` : null}>${columns.map((column) => cell(column, row))}</tr>`,
    )}</tbody></table></div>`;
}

function cell<Row>({ head, cell: of, as }: Column<Row>, row: Row): Markup {
  const value = of(row);
  return markup`<td class="${as ?? ''}" data-label="${head}">${value === null ? null : markup`<div>${value}</div>`}</td>`;
}
