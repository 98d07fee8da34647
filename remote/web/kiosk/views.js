// @ts-check
// What the kiosk shows at each stage, as elements.
import { el } from "/view.js";
import { ARTICLES } from "./articles.js";

/** @typedef {{ stage: any, basket: Record<string, number>, can: any, receipt: string | null, words: any, may: (right: string, device: string) => boolean, amount: (minor: number) => string }} Shop */

/** @type {Record<string, (shop: Shop) => Node[]>} */
export const VIEWS = { shop, paying, done, declined, doubt, parked };

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
function ways(/** @type {Shop} */ { can, receipt, may, words: { t } }, /** @type {number} */ sum) {
  const terminals = (can?.tenders ?? []).filter((/** @type {any} */ { tender }) => tender.terminal && may("pay", tender.terminal));
  const cards = terminals.map((/** @type {any} */ { tender: { terminal }, pay }) => {
    const off = pay.now === "no";
    const text = terminals.length > 1 ? t("card-at", terminal) : t("card");
    return el("div", { "data-key": terminal },
      button("pay", text, { "data-terminal": terminal, disabled: off || sum === 0 }, "button.main"),
      off ? el("small.bad", {}, t("not-now", pay.why ?? "")) : null);
  });
  const paper = can?.routes.find((/** @type {any} */ { route }) => route === receipt)?.print;
  return [
    cards,
    button("park", t("counter"), { "data-key": "park", disabled: sum === 0 }),
    paper?.now === "no" ? el("small.warn", { "data-key": "paper" }, t("no-receipt", paper.why ?? "")) : null,
  ];
}

function paying(/** @type {Shop} */ { stage: { sum, shown, aborting }, words: { t, money } }) {
  return stage(
    el("p.sumline", {}, money(sum)),
    el("p.shown.waiting", { id: "shown", role: "status" }, shown ?? t("follow")),
    el("div.actions", {}, button("abort", t(aborting ? "aborting" : "abort"), { disabled: aborting }, "button.danger")));
}

function done(/** @type {Shop} */ { stage: { sum, number, print, drawer }, words: { t, money } }) {
  return stage(
    el("h2.good", {}, t("thanks")),
    el("p", {}, t("paid", money(sum))),
    number ? el("p.sumline", {}, t("number", number)) : null,
    receipt(print, t),
    drawer ? el("p.warn", {}, drawer) : null,
    el("div.actions", {}, button("next", t("next-customer"), {}, "button.main")));
}

/** What became of the receipt, as far as it is known. */
function receipt(/** @type {any} */ print, /** @type {any} */ t) {
  const [state] = Object.keys(print);
  const why = print[state].why ?? "";
  const known = /** @type {any} */ ({
    printed: ["good", "receipt-printed"],
    accepted: ["good", "receipt-printed"],
    printing: ["idle", "receipt-printing"],
    waiting: ["warn", "receipt-waits"],
  });
  const [kind, text] = known[state] ?? ["bad", "receipt-unknown"];
  return el(`p.${kind}`, { id: "receipt", role: "status" }, t(text, why));
}

function declined(/** @type {Shop} */ { stage: { text, aborted, due }, words: { t, money } }) {
  return stage(
    el("h2.bad", { id: "declined" }, t(aborted ? "aborted" : "declined")),
    text ? el("p.facts", {}, text) : null,
    el("p", {}, `${t("not-charged")} ${t("rest", money(due))}`),
    el("div.actions", {}, button("retry", t("retry"), {}, "button.main"), button("back", t("back"))));
}

function doubt(/** @type {Shop} */ { stage: { why }, words: { t } }) {
  return stage(
    el("h2.warn", { id: "doubt" }, t("doubt")),
    el("p", {}, t("doubt-how")),
    why ? el("p.facts", {}, why) : null,
    el("p.waiting", { role: "status" }, t("preparing")));
}

function parked(/** @type {Shop} */ { stage: { called }, words: { t } }) {
  return stage(
    el("h2", {}, t("parked")),
    el("p.sumline", {}, t("parked-as", called)),
    el("div.actions", {}, button("next", t("next-customer"), {}, "button.main")));
}
