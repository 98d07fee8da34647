// @ts-check
// A kiosk: articles from a list, paid at a terminal, with a receipt.
import { Till } from "/tresen.js";
import { letIn, showLink } from "/entrance.js";
import { at, handle, language, redraw } from "/view.js";
import { Checkout } from "./checkout.js";
import { Kept } from "./kept.js";
import * as question from "./question.js";
import { VIEWS } from "./views.js";
import { TEXTS } from "./words.js";

const words = language(TEXTS);
const { t } = words;
const till = new Till();
const kept = new Kept();

const shop = {
  /** @type {any} */ stage: { name: "shop" },
  /** What the till can do now. @type {any} */ can: null,
  /** @type {string | null} */ receipt: null,
  words,
  t,
  get basket() {
    return kept.basket;
  },
  may: (/** @type {string} */ right, /** @type {string} */ device) => till.rights.may(right, device),
  amount: (/** @type {number} */ minor) => `${(minor / 100).toFixed(2)} ${kept.currency}`,
  show: (/** @type {any} */ stage) => {
    shop.stage = stage;
    draw();
  },
};
const checkout = new Checkout(till, kept, shop);

function draw() {
  at("title").textContent = shop.stage.name === "shop" ? t("title") : till.about?.name ?? "";
  redraw(at("stage"), VIEWS[shop.stage.name](shop));
}

// --- the connection

let following = false;

async function entered() {
  const { currency } = await till.call("till.info");
  kept.keep({ currency });
  shop.receipt = await till.call("till.printer-for", { paper: "receipt" }).catch(() => null);
  if (!following) await till.follow({ event, state: () => look() });
  following = true;
  const resumed = checkout.resume();
  for (const open of await openQuestions()) ask(open);
  await resumed;
}

function linked() {
  if (till.state !== "signed-out") return;
  question.dismiss();
  shop.show({ name: "signed-out", paying: kept.key !== null });
}

/** Asks what is possible now. */
async function look() {
  shop.can = await till.call("till.capabilities").catch(() => shop.can);
  if (["shop", "part"].includes(shop.stage.name)) draw();
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
  else if (what === "sale-settled" && details.sale === kept.sale) checkout.settled();
  else if (what === "printed" && shop.stage.name === "done") printed(details.job);
}

/** What the terminal shows. */
function progress(/** @type {any} */ progress) {
  const shown = progress === "approved" ? t("approved") : progress.display ?? progress.status?.text;
  if (shown) shop.show({ ...shop.stage, shown });
}

/** The receipt has come out after all. */
function printed(/** @type {string} */ job) {
  const print = /** @type {any} */ (Object.values(shop.stage.print)[0]);
  if (print?.job === job) shop.show({ ...shop.stage, print: { printed: { on: "" } } });
}

/** The questions of the terminal that nobody has answered. */
async function openQuestions() {
  if (!kept.key) return [];
  return till.call("terminal.questions", { terminal: kept.terminal ?? "" }).catch(() => []);
}

/** @param {any} open */
function ask(open) {
  if (open.intent && !open.intent.startsWith(`${kept.sale}/`)) return;
  question.ask(open, t, async (answer) => {
    question.close(open.id);
    await till.call("terminal.answer", { terminal: kept.terminal ?? "", question: open.id, answer }).catch(() => {});
  });
}

// --- what the customer does

/** @type {Record<string, (data: DOMStringMap) => unknown>} */
const ACTIONS = {
  language: ({ name = "en" }) => {
    words.choose(name);
    showLink(till, words);
    if (till.about || shop.stage.name !== "shop") draw();
    else at("title").textContent = t("title");
  },
  add: ({ id = "" }) => change(id, 1),
  remove: ({ id = "" }) => change(id, -1),
  pay: ({ terminal = "" }) => checkout.pay(terminal),
  rest: ({ terminal }) => checkout.payRest(terminal),
  "give-back": () => checkout.giveBack(),
  "hand-over": () => checkout.handOver(),
  abort: () => checkout.abort(),
  back: () => checkout.back(),
  next: () => {
    checkout.leave();
    void look();
  },
};

/** @param {string} id @param {number} by */
function change(id, by) {
  kept.basket[id] = Math.max((kept.basket[id] ?? 0) + by, 0);
  kept.keep({});
  shop.show({ name: "shop" });
}

words.apply();
at("title").textContent = t("title");
handle(ACTIONS);
letIn(till, words, { entered, linked });
