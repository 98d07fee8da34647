// @ts-check
// What the kiosk shows at each stage, as elements.
import { el } from "/view.js";
import { ARTICLES } from "./articles.js";

/**
 * What is known.
 * @typedef {object} Shop
 * @property {any} stage
 * @property {Record<string, number>} basket
 * @property {any} can Of `till.capabilities`.
 * @property {string | null} receipt The route that prints receipts.
 * @property {any} words
 * @property {(right: string, device: string) => boolean} may
 * @property {(minor: number) => string} amount
 */

/** @type {Record<string, (shop: Shop) => Node[]>} */
export const VIEWS = { shop, paying, done, declined, part, doubt, parked, "signed-out": signedOut };

/** @param {string} action @param {string} text @param {Record<string, any>} [more] @param {string} [kind] */
function button(action, text, more = {}, kind = "button") {
  return el(kind, { type: "button", "data-do": action, ...more }, text);
}

function stage(/** @type {any[]} */ ...content) {
  return [el("section.stage.panel", { "data-key": "stage" }, content)];
}

/** What is in the basket, in cents. */
export function total(/** @type {Record<string, number>} */ basket) {
  return ARTICLES.reduce((sum, { id, price }) => sum + price * (basket[id] ?? 0), 0);
}

function shop(/** @type {Shop} */ shop) {
  const { basket, words: { t, money }, amount, stage } = shop;
  const articles = ARTICLES.map(({ id, name, price }) =>
    el("li", { "data-key": id },
      el("button", { type: "button", "data-do": "add", "data-id": id },
        el("strong", {}, name), el("span.price", {}, money(amount(price))))));
  const lines = ARTICLES.filter(({ id }) => basket[id] > 0).map(({ id, name, price }) =>
    el("li", { "data-key": id },
      el("span.name", {}, `${basket[id]} × ${name}`), money(amount(price * basket[id])),
      button("remove", "−", { "data-id": id, "aria-label": t("less", name) }),
      button("add", "+", { "data-id": id, "aria-label": t("more", name) })));
  const sum = total(basket);
  return [
    stage.note ? el("p.note.bad", { "data-key": "note", role: "alert" }, el("span", {}, stage.note)) : null,
    el("div.shop", { "data-key": "shop" },
      el("ul.articles", {}, articles),
      el("section.basket.panel", { "aria-labelledby": "basket-title" },
        el("header", {}, el("h2", { id: "basket-title" }, t("basket"))),
        lines.length > 0 ? el("ul.rows", {}, lines) : el("p.empty", {}, t("empty")),
        el("p.sum", {}, el("span", {}, t("total")), el("span", { id: "total" }, money(amount(sum)))),
        el("div.tenders", {}, ways(shop, sum)))),
  ].filter((node) => node !== null);
}

/** The ways to pay that are possible now; those that are not say why. */
function ways(/** @type {Shop} */ shop, /** @type {number} */ sum) {
  const { can, receipt, words: { t } } = shop;
  const paper = can?.routes.find((/** @type {any} */ { route }) => route === receipt)?.print;
  return [
    cards(shop, "pay", "card", sum === 0),
    button("hand-over", t("counter"), { "data-key": "counter", disabled: sum === 0 }),
    paper?.now === "no" ? el("small.warn", { "data-key": "paper" }, t("no-receipt", paper.why ?? "")) : null,
  ];
}

/** A button for each terminal. @param {Shop} shop @param {string} action @param {string} text @param {boolean} [off] */
function cards({ can, may, words: { t } }, action, text, off = false) {
  const terminals = (can?.tenders ?? []).filter((/** @type {any} */ { tender }) => tender.terminal && may("pay", tender.terminal));
  return terminals.map((/** @type {any} */ { tender: { terminal }, pay }) => {
    const not = pay.now === "no";
    const name = terminals.length > 1 ? t(`${text}-at`, terminal) : t(text);
    return el("div", { "data-key": terminal },
      button(action, name, { "data-terminal": terminal, disabled: off || not }, "button.main"),
      not ? el("small.bad", {}, t("not-now", pay.why ?? "")) : null);
  });
}

function paying(/** @type {Shop} */ { stage: { sum, shown, aborting, back }, basket, amount, words: { t, money } }) {
  return stage(
    el("p.sumline", {}, money(sum ?? amount(total(basket)))),
    el("p.shown.waiting", { id: "shown", role: "status" }, shown ?? t("follow")),
    back ? null : el("div.actions", {}, button("abort", t(aborting ? "aborting" : "abort"), { disabled: aborting }, "button.danger")));
}

function done(/** @type {Shop} */ { stage: { sum, number, print, drawer }, receipt: route, words: { t, money } }) {
  return stage(
    el("h2.good", {}, t("thanks")),
    el("p", {}, t("paid", money(sum))),
    number ? el("p.sumline", {}, t("number", number)) : null,
    receipt(print, route, t),
    drawer ? el("p.warn", {}, drawer) : null,
    el("div.actions", {}, button("next", t("next-customer"), {}, "button.main")));
}

/** What became of the receipt, as far as it is known. @param {any} print @param {string | null} route @param {any} t */
function receipt(print, route, t) {
  const [state] = Object.keys(print);
  const why = (print[state].why ?? "").replace(`${route}: `, "");
  const known = /** @type {any} */ ({
    printed: ["good", "receipt-printed"],
    accepted: ["good", "receipt-printed"],
    printing: ["idle", "receipt-printing"],
    waiting: ["warn", "receipt-waits"],
  });
  const [kind, text] = known[state] ?? ["bad", "receipt-unknown"];
  return el(`p.${kind}`, { id: "receipt", role: "status" }, t(text, why));
}

function declined(/** @type {Shop} */ { stage: { text, aborted, back, due }, words: { t, money } }) {
  return stage(
    el(back ? "h2.good" : "h2.bad", { id: "declined" }, t(back ? "returned" : aborted ? "aborted" : "declined")),
    text ? el("p.facts", {}, text) : null,
    el("p", {}, back ? null : `${t("not-charged")} `, t("rest", money(due))),
    el("div.actions", {}, button("rest", t("retry"), {}, "button.main"), button("back", t("back"))));
}

/** Some money has moved: it is never left without a word. */
function part(/** @type {Shop} */ shop) {
  const { stage: { paid, due, total, text, refused, aborted, back, returnable }, words: { t, money } } = shop;
  const why = refused ? t(back ? "not-returned" : aborted ? "aborted" : "declined") : null;
  return stage(
    el("h2.warn", { id: "part" }, t("part")),
    why ? el("p.bad", {}, text ? `${why} ${text}` : why) : null,
    el("dl.sums", {},
      el("dt", {}, t("of")), el("dd", {}, money(total)),
      el("dt", {}, t("paid-part")), el("dd", {}, money(paid)),
      el("dt", {}, t("due")), el("dd", { id: "due" }, money(due))),
    el("div.actions.column", {},
      cards(shop, "rest", "pay-rest"),
      returnable ? button("give-back", t("give-back", money(paid))) : null,
      button("hand-over", t("staff"))),
    el("p.facts", {}, t(returnable ? "part-how" : "part-staff")));
}

function doubt(/** @type {Shop} */ { stage: { why }, words: { t } }) {
  return stage(
    el("h2.warn", { id: "doubt" }, t("doubt")),
    el("p", {}, t("doubt-how")),
    why ? el("p.facts", {}, why) : null,
    el("p.waiting", { role: "status" }, t("preparing")));
}

function parked(/** @type {Shop} */ { stage: { called, paid }, words: { t, money } }) {
  return stage(
    el("h2", {}, t("parked")),
    el("p.sumline", {}, t("parked-as", called)),
    paid ? el("p.warn", {}, t("parked-paid", money(paid))) : null,
    el("div.actions", {}, button("next", t("next-customer"), {}, "button.main")));
}

function signedOut(/** @type {Shop} */ { stage: { paying }, basket, amount, words: { t, money } }) {
  return stage(
    el("h2.warn", { id: "signed-out" }, t("signed-out-title")),
    el("p", {}, paying ? t("signed-out-paying", money(amount(total(basket)))) : t("signed-out-kept")),
    el("p.facts", {}, t("signed-out-how")));
}
