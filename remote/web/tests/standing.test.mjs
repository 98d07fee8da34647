// `node --test`: what the kiosk makes of a stored sale.
import assert from "node:assert/strict";
import { test } from "node:test";

import { minus, standing, taken } from "../kiosk/standing.js";

/** A sale of 12 euros, as `docs/commands.md` has it, with what matters here. */
const sale = (more) => ({
  rev: 3, state: "open", due: "12.00 EUR", pending: false, parked: null, tenders: [], ticket: { total: "12.00 EUR" }, ...more,
});
const card = (attempt, state, more = {}) => ({
  key: `s/${attempt}`, attempt, tender: "card", terminal: "counter", operation: "payment", state, reference: null, ...more,
});
const reversal = (attempt, of, state) => card(attempt, state, { operation: "reversal", reference: `s/${of}` });

test("how a sale stands", () => {
  assert.equal(standing(null), "gone");
  assert.equal(standing(sale({ state: "voided" })), "gone");
  assert.equal(standing(sale({ state: "closed", due: "0.00 EUR" })), "paid");
  assert.equal(standing(sale({ due: "0.00 EUR", tenders: [card(1, "taken")] })), "paid");
  assert.equal(standing(sale({})), "unasked");
  assert.equal(standing(sale({ parked: { name: "K 417" } })), "parked");
  assert.equal(standing(sale({ tenders: [card(1, "refused")] })), "unpaid");
  assert.equal(standing(sale({ tenders: [card(1, "taken"), reversal(2, 1, "taken")] })), "unpaid");
  assert.equal(standing(sale({ due: "7.00 EUR", tenders: [card(1, "taken"), card(2, "refused")] })), "part");
});

test("what may have been paid counts as paid: it is pending, and not paid", () => {
  const tenders = [card(1, "taken"), card(2, "unknown")];
  assert.equal(standing(sale({ due: "0.00 EUR", pending: true, tenders })), "pending");
  assert.equal(standing(sale({ due: "0.00 EUR", pending: true, parked: { name: "K 417" }, tenders })), "pending");
});

test("what can be given back is what was taken and not given back", () => {
  const attempts = (tenders) => taken(sale({ tenders })).map(({ attempt }) => attempt);
  assert.deepEqual(attempts([card(1, "refused"), card(2, "taken"), card(3, "taken")]), [2, 3]);
  assert.deepEqual(attempts([card(1, "taken"), reversal(2, 1, "taken")]), []);
  assert.deepEqual(attempts([card(1, "taken"), reversal(2, 1, "unknown")]), []);
  assert.deepEqual(attempts([card(1, "taken"), reversal(2, 1, "refused")]), [1]);
  assert.deepEqual(attempts([{ ...card(1, "taken"), tender: "cash" }]), []);
});

test("differences of amounts are exact", () => {
  assert.equal(minus("12.00 EUR", "7.00 EUR"), "5.00 EUR");
  assert.equal(minus("0.30 EUR", "0.10 EUR"), "0.20 EUR");
  assert.equal(minus("7.00 EUR", "12.00 EUR"), "-5.00 EUR");
  assert.equal(minus("1200 JPY", "700 JPY"), "500 JPY");
  assert.equal(minus("1.250 KWD", "0.125 KWD"), "1.125 KWD");
});
