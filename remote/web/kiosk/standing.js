// @ts-check
// How a stored sale stands. Whether money has moved is what the till says of the sale, not what the page believes.

/**
 * - `gone`: there is none, or it was voided.
 * - `parked`: somebody at the counter goes on with it.
 * - `paid`: it is closed, or can be.
 * - `pending`: nobody knows yet whether money has moved.
 * - `unasked`: no money was asked for.
 * - `part`: some money has moved, and some is still to be paid.
 * - `unpaid`: no money has moved, or all was given back.
 * @param {any} sale As `sale.find` replies.
 * @returns {"gone" | "parked" | "paid" | "pending" | "unasked" | "part" | "unpaid"}
 */
export function standing(sale) {
  if (!sale || sale.state === "voided") return "gone";
  if (sale.state === "closed") return "paid";
  if (sale.pending) return "pending";
  if (sale.parked) return "parked";
  if (sale.tenders.length === 0) return "unasked";
  if (minor(sale.due) === 0) return "paid";
  return minor(sale.due) === minor(sale.ticket.total) ? "unpaid" : "part";
}

/** The card payments of a sale that have taken money which was not given back. */
export function taken(/** @type {any} */ { tenders }) {
  const reversed = new Set(tenders
    .filter((/** @type {any} */ { operation, state }) => operation === "reversal" && state !== "refused")
    .map((/** @type {any} */ { reference }) => reference));
  return tenders.filter((/** @type {any} */ { key, tender, operation, state }) =>
    tender === "card" && operation === "payment" && state === "taken" && !reversed.has(key));
}

/** The difference of two amounts of one currency: `"12.00 EUR"` and `"7.00 EUR"` are `"5.00 EUR"` apart. */
export function minus(/** @type {string} */ one, /** @type {string} */ other) {
  const [value, currency] = one.split(" ");
  const digits = value.split(".")[1]?.length ?? 0;
  return `${((minor(one) - minor(other)) / 10 ** digits).toFixed(digits)} ${currency}`;
}

/** An amount in its smallest unit. */
function minor(/** @type {string} */ amount) {
  return Number(amount.split(" ")[0].replace(".", ""));
}
