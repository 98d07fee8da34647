// @ts-check
// A kiosk: articles from a list, paid at a terminal, with a receipt. What it needs to go on after a reload is in
// `sessionStorage` before it asks the till for anything: the basket, the sale, the key of the payment.
import { connect, newKey, signedIn } from "/tresen.js";
import { at, handle, language, redraw } from "/view.js";
import { ARTICLES } from "./articles.js";
import * as question from "./question.js";
import { TEXTS } from "./words.js";
import { VIEWS, total } from "./views.js";

const words = language(TEXTS);
const { t } = words;

/** @type {import("/tresen.js").Till} */
let till;
let currency = "EUR";

/** What a reload must not lose. @type {{ basket: Record<string, number>, sale: string | null, terminal: string | null, key: string | null }} */
const kept = { basket: {}, sale: null, terminal: null, key: null, ...JSON.parse(sessionStorage.getItem("kiosk") ?? "{}") };

const shop = {
  /** @type {any} */ stage: { name: "shop" },
  /** @type {any} */ can: null,
  /** @type {string | null} */ receipt: null,
  get basket() {
    return kept.basket;
  },
  words,
  may: (/** @type {string} */ right, /** @type {string} */ device) => till.rights.may(right, device),
  amount: (/** @type {number} */ minor) => `${(minor / 100).toFixed(2)} ${currency}`,
};

async function start() {
  words.apply();
  handle(ACTIONS);
  at("sign-in").addEventListener("submit", (submit) => {
    submit.preventDefault();
    void enter({ code: /** @type {HTMLInputElement} */ (at("code")).value });
  });
  if (signedIn()) await enter({});
  else at("sign-in").hidden = false;
}

/** @param {{ code?: string }} options */
async function enter(options) {
  try {
    till = await connect(options);
  } catch (error) {
    at("sign-in").hidden = false;
    at("sign-in-error").textContent = message(error);
    return;
  }
  at("sign-in").hidden = true;
  till.watch(linked);
  const info = await till.call("till.info");
  currency = info.currency;
  shop.receipt = await till.call("till.printer-for", { paper: "receipt" }).catch(() => null);
  await till.follow({ event, state: () => look() });
  await resume();
}

function linked() {
  const link = at("link");
  link.className = `state ${till.state === "open" ? "good" : "bad"}`;
  link.textContent = t(till.state);
  link.hidden = till.state === "open";
  if (till.state === "signed-out") at("sign-in").hidden = false;
}

/** Asks what is possible now. */
async function look() {
  shop.can = await till.call("till.capabilities").catch(() => shop.can);
  if (shop.stage.name === "shop") draw();
}

function draw() {
  redraw(at("stage"), VIEWS[shop.stage.name](shop));
}

/** @param {any} stage */
function show(stage) {
  shop.stage = stage;
  draw();
}

function keep() {
  sessionStorage.setItem("kiosk", JSON.stringify(kept));
}

// --- a sale

/** @param {string} terminal */
async function pay(terminal) {
  cancelled = false;
  show({ name: "paying", sum: shop.amount(total(kept.basket)), shown: t("preparing") });
  try {
    const sale = await filled();
    kept.terminal = terminal;
    if (cancelled) await back();
    else await checkOut(sale);
  } catch (error) {
    await givenUp(error);
  }
}

/** The customer has gone back before the terminal was asked for anything. */
let cancelled = false;

/** A sale with the lines of the basket. */
async function filled() {
  let sale = await till.call("sale.open");
  kept.sale = sale.ticket.id;
  keep();
  for (const { id, name, price, vat } of ARTICLES) {
    const count = kept.basket[id] ?? 0;
    if (count === 0) continue;
    const line = {
      name, article: id, quantity: { pieces: count }, unit_price: shop.amount(price), vat,
      total: shop.amount(price * count),
    };
    sale = await till.call("sale.add", { sale: kept.sale, rev: sale.rev, line });
  }
  return sale;
}

/** Pays at the terminal, closes, prints: one call, whose key outlives the page. */
async function checkOut(/** @type {any} */ sale) {
  kept.key = newKey();
  keep();
  show({ name: "paying", sum: sale.due });
  const fields = { sale: kept.sale, rev: sale.rev, terminal: kept.terminal, printer: shop.receipt };
  finished(await till.call("sale.check-out", fields, { key: kept.key }));
}

/** What became of the payment. */
function finished(/** @type {any} */ { sold, sale }) {
  kept.key = null;
  keep();
  if (sold.closed) {
    thank(sale, sold.closed);
    return;
  }
  const { payment, due } = sold.open;
  const not = payment?.["not-charged"];
  if (payment?.unknown || (sale.pending && !not)) {
    show({ name: "doubt", why: payment?.unknown?.why });
    void decided();
    return;
  }
  show({ name: "declined", text: not?.text, aborted: not?.reason === "aborted", due });
}

/** Paid: the next customer's basket is empty. */
function thank(/** @type {any} */ sale, /** @type {any} */ { print, drawer }) {
  Object.assign(kept, { basket: {}, sale: null, key: null });
  keep();
  show({ name: "done", sum: sale.ticket.total, number: sale.ticket.number, print, drawer });
}

/** Goes on where the page was before it was loaded again. */
async function resume() {
  if (!kept.sale) {
    draw();
    return;
  }
  const call = till.unanswered().find(({ key }) => key === kept.key);
  try {
    if (call) {
      const sale = await till.call("sale.find", { sale: kept.sale });
      show({ name: "paying", sum: sale?.due === undefined ? shop.amount(0) : sale.ticket.total });
      for (const open of await till.call("terminal.questions", { terminal: kept.terminal }).catch(() => [])) ask(open);
      finished(await till.join(call.key));
    } else {
      await decided();
    }
  } catch (error) {
    await givenUp(error);
  }
}

/** Looks at the sale until it is known how it stands, then goes on with it. */
async function decided() {
  for (;;) {
    const sale = await till.call("sale.find", { sale: kept.sale });
    if (!sale || sale.state === "voided") return leave("");
    if (sale.state === "closed" || (!sale.pending && sale.tenders.length > 0 && isZero(sale.due))) {
      const { sold, sale: closed } = await till.call("sale.close", { sale: kept.sale, printer: shop.receipt });
      return thank(closed, sold.closed);
    }
    if (!sale.pending) {
      const last = sale.tenders.at(-1);
      // The page was loaded again before it had asked for money.
      if (!last) return back();
      return show({ name: "declined", text: last.why, due: sale.due });
    }
    if (shop.stage.name !== "doubt") show({ name: "doubt", why: sale.tenders.at(-1)?.why });
    await new Promise((resolve) => {
      wake = () => resolve(undefined);
      setTimeout(resolve, LOOK);
    });
  }
}

/** Called when an event tells that a payment was settled. */
let wake = () => {};
/** How often a sale in doubt is looked at without an event, in ms. */
const LOOK = 5_000;

/** An error on the way. Whether money has moved is what the till says of the sale, not what the page believes. */
async function givenUp(/** @type {any} */ error) {
  kept.key = null;
  keep();
  if (!kept.sale) return leave(t("failed", message(error)));
  const sale = await till.call("sale.find", { sale: kept.sale }).catch(() => null);
  if (sale?.tenders.length > 0 || sale === null) return decided().catch(givenUp);
  await back();
  show({ name: "shop", note: t("failed", message(error)) });
}

/** Voids the sale and shows the basket again. */
async function back() {
  if (kept.sale) await till.call("sale.void", { sale: kept.sale, why: "the customer went back" }).catch(() => {});
  leave("");
}

/** @param {string} note */
function leave(note) {
  Object.assign(kept, { sale: null, key: null });
  keep();
  show({ name: "shop", note });
  void look();
}

// --- what the till tells

/** @param {any} event */
function event({ source, kind }) {
  const [what, details] = typeof kind === "string" ? [kind, null] : Object.entries(kind)[0];
  const mine = source.device?.class === "terminal" && source.device.name === kept.terminal && kept.sale !== null;
  if (what === "capabilities-changed") void look();
  else if (what === "question" && mine) ask(details);
  else if (what === "question-closed") question.close(details.id);
  else if (what === "payment" && mine && shop.stage.name === "paying") progress(details);
  else if (what === "sale-settled" && details.sale === kept.sale) wake();
  else if (what === "printed" && shop.stage.name === "done") printed(details.job);
}

/** What the terminal shows. */
function progress(/** @type {any} */ progress) {
  const shown = progress === "approved" ? t("approved") : progress.display ?? progress.status?.text;
  if (shown) show({ ...shop.stage, shown });
}

/** The receipt has come out after all. */
function printed(/** @type {string} */ job) {
  const print = /** @type {any} */ (Object.values(shop.stage.print)[0]);
  if (print?.job === job) show({ ...shop.stage, print: { printed: { on: "" } } });
}

/** @param {any} open */
function ask(open) {
  if (open.intent && !open.intent.startsWith(`${kept.sale}/`)) return;
  question.ask(open, t, async (answer) => {
    question.close(open.id);
    await till.call("terminal.answer", { terminal: kept.terminal, question: open.id, answer }).catch(() => {});
  });
}

// --- what the customer does

/** @type {Record<string, (data: DOMStringMap) => unknown>} */
const ACTIONS = {
  language: ({ name = "en" }) => {
    words.choose(name);
    if (till) {
      linked();
      draw();
    }
  },
  add: ({ id = "" }) => change(id, 1),
  remove: ({ id = "" }) => change(id, -1),
  pay: ({ terminal = "" }) => pay(terminal),
  park: async () => {
    try {
      const { rev } = await filled();
      const name = `K ${String(Math.floor(Math.random() * 900) + 100)}`;
      await till.call("sale.park", { sale: kept.sale, rev, name });
      Object.assign(kept, { basket: {}, sale: null });
      keep();
      show({ name: "parked", called: name });
    } catch (error) {
      await givenUp(error);
    }
  },
  abort: async () => {
    cancelled = true;
    show({ ...shop.stage, aborting: true });
    if (kept.key) await till.abort(kept.key).catch(() => {});
  },
  retry: async () => {
    try {
      await checkOut(await till.call("sale.find", { sale: kept.sale }));
    } catch (error) {
      await givenUp(error);
    }
  },
  back,
  next: () => leave(""),
};

/** @param {string} id @param {number} by */
function change(id, by) {
  kept.basket[id] = Math.max((kept.basket[id] ?? 0) + by, 0);
  keep();
  show({ name: "shop" });
}

function isZero(/** @type {string} */ amount) {
  return Number.parseFloat(amount) === 0;
}

/** @param {any} error */
function message(error) {
  return error?.message ?? String(error);
}

start();
