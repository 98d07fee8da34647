// @ts-check
// A sale's way from the basket to the receipt. Each call that moves money has a key that outlives the page.
import { newKey } from "/tresen.js";
import { ARTICLES } from "./articles.js";
import { minus, standing, taken } from "./standing.js";

/** How often a sale in doubt is looked at without an event, in ms. */
const LOOK = 5_000;

/**
 * @typedef {object} Shop
 * @property {any} stage What is shown.
 * @property {(stage: any) => void} show
 * @property {string | null} receipt The route that prints receipts.
 * @property {(name: string, ...with_: any[]) => string} t
 * @property {(right: string, device: string) => boolean} may
 * @property {(minor: number) => string} amount
 */

export class Checkout {
  /** The customer has gone back before the terminal was asked for anything. */
  #cancelled = false;
  /** Each look at the sale has a number; one that is not the last gives up. */
  #turn = 0;
  #wake = () => {};

  /**
   * @param {import("/tresen.js").Till} till
   * @param {import("./kept.js").Kept} kept
   * @param {Shop} shop
   */
  constructor(till, kept, shop) {
    this.till = till;
    this.kept = kept;
    this.shop = shop;
  }

  // --- what the customer does

  /** Sells what is in the basket. @param {string} terminal */
  pay(terminal) {
    this.#cancelled = false;
    this.shop.show({ name: "paying", shown: this.shop.t("preparing") });
    return this.#step(async () => {
      const sale = await this.#filled();
      if (this.#cancelled) await this.#void();
      else await this.#payAt(terminal, sale);
    });
  }

  /** Pays what is still due. @param {string} [terminal] Default the one of the last attempt. */
  payRest(terminal = this.kept.terminal ?? "") {
    this.#cancelled = false;
    return this.#step(async () => this.#payAt(terminal, await this.#stored()));
  }

  /** Has the terminals give back what was taken. */
  giveBack() {
    this.#cancelled = false;
    return this.#step(async () => {
      let sale = await this.#stored();
      let last;
      for (const { attempt, terminal, taken: sum } of taken(sale)) {
        const fields = { rev: sale.rev, terminal, attempt };
        last = await this.#keyed("sale.reverse-card", fields, { sum, shown: this.shop.t("giving-back"), back: true });
        sale = last.sale;
        if (!last.payment.charged) break;
      }
      await this.#finished(last ?? { sale });
    });
  }

  /** Leaves the sale, with what is paid of it, to somebody at the counter. */
  handOver() {
    return this.#step(async () => this.#park(this.kept.sale ? await this.#stored() : await this.#filled()));
  }

  /** Asks the terminal to stop. */
  async abort() {
    this.#cancelled = true;
    this.shop.show({ ...this.shop.stage, aborting: true });
    if (this.kept.key) await this.till.abort(this.kept.key).catch(() => {});
  }

  /** Shows the basket again; a sale with money on it stays. */
  back() {
    return this.#step(() => this.#void());
  }

  /** Shows the articles. */
  leave(note = "") {
    this.#turn += 1;
    this.kept.keep({ sale: null, key: null });
    this.shop.show({ name: "shop", note });
  }

  // --- what happens meanwhile

  /** Goes on where the page was before it was loaded again, or signed out. */
  resume() {
    this.#turn += 1;
    if (!this.kept.sale) {
      this.leave();
      return Promise.resolve();
    }
    return this.#step(async () => {
      const call = this.till.unanswered().find(({ key }) => key === this.kept.key);
      if (!call) {
        await this.#look();
        return;
      }
      const sale = await this.#stored();
      const { asked = sale?.ticket.total } = sale?.pending ? sale.tenders.at(-1) : {};
      this.shop.show({ name: "paying", sum: asked?.replace("-", ""), back: call.command === "sale.reverse-card" });
      await this.#finished(await this.till.join(call.key ?? ""));
    });
  }

  /** A payment of the sale was settled. */
  settled() {
    this.#wake();
  }

  // --- steps

  get #sale() {
    return this.kept.sale ?? "";
  }

  /** Takes a step; where it fails, the till knows how the sale stands. @param {() => Promise<void>} step */
  async #step(step) {
    try {
      await step();
    } catch (error) {
      // Signed out: `resume` goes on under the same key.
      if (this.till.state === "signed-out") return;
      const note = this.shop.t("failed", /** @type {Error} */ (error).message);
      this.kept.keep({ key: null });
      if (this.kept.sale) await this.#look(note);
      else this.leave(note);
    }
  }

  /** The sale, as the till has it. @returns {Promise<any>} */
  #stored() {
    return this.till.call("sale.find", { sale: this.#sale });
  }

  /** A new sale with the lines of the basket. */
  async #filled() {
    let sale = await this.till.call("sale.open");
    this.kept.keep({ sale: sale.ticket.id });
    for (const { id, name, price, vat } of ARTICLES) {
      const count = this.kept.basket[id] ?? 0;
      if (count === 0) continue;
      const line = {
        name, article: id, quantity: { pieces: count }, unit_price: this.shop.amount(price), vat,
        total: this.shop.amount(price * count),
      };
      sale = await this.till.call("sale.add", { sale: this.#sale, rev: sale.rev, line });
    }
    return sale;
  }

  /** Pays at a terminal, closes, prints. @param {string} terminal @param {any} sale */
  async #payAt(terminal, sale) {
    this.kept.keep({ terminal });
    const fields = { rev: sale.rev, terminal, printer: this.shop.receipt };
    await this.#finished(await this.#keyed("sale.check-out", fields, { sum: sale.due }));
  }

  /** A call that moves money. @param {string} command @param {object} fields @param {object} shown */
  #keyed(command, fields, shown) {
    const key = newKey();
    this.kept.keep({ key });
    this.shop.show({ name: "paying", ...shown });
    return this.till.call(/** @type {any} */ (command), { sale: this.#sale, ...fields }, { key });
  }

  /** A call that moves money is answered. */
  async #finished(/** @type {any} */ { sold, payment = sold?.open?.payment, sale }) {
    this.kept.keep({ key: null });
    if (sold?.closed) this.#thank(sale, sold.closed);
    else if (!(await this.#proceed(sale, payment))) await this.#look();
  }

  async #park(/** @type {any} */ sale) {
    const name = `K ${String(Math.floor(Math.random() * 900) + 100)}`;
    await this.#proceed(await this.till.call("sale.park", { sale: this.#sale, rev: sale.rev, name }));
  }

  /** Voids the sale and shows the basket again. With money on it, it is not voided. */
  async #void(note = "") {
    try {
      await this.till.call("sale.void", { sale: this.#sale, why: "the customer went back" });
    } catch (error) {
      if (this.till.state === "signed-out") throw error;
      const sale = await this.#stored();
      if (!["gone", "unasked", "unpaid"].includes(standing(sale))) {
        if (!(await this.#proceed(sale))) await this.#look();
        return;
      }
    }
    this.leave(note);
  }

  // --- how the sale stands

  /** Looks at the sale until it is known how it stands, and goes on with it. */
  async #look(note = "") {
    this.#turn += 1;
    const turn = this.#turn;
    while (turn === this.#turn && this.kept.sale) {
      try {
        if (await this.#proceed(await this.#stored(), null, note)) return;
      } catch (error) {
        if (this.till.state === "signed-out") return;
        this.shop.show({ name: "doubt", why: /** @type {Error} */ (error).message });
      }
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
        setTimeout(resolve, LOOK);
      });
    }
  }

  /**
   * Goes on with the sale as it stands; `false` if that is not known yet.
   * @param {any} sale
   * @param {any} [payment] The outcome of the last attempt.
   */
  async #proceed(sale, payment = null, note = "") {
    const stands = standing(sale);
    if (stands === "pending") {
      if (this.shop.stage.name !== "doubt") this.shop.show({ name: "doubt", why: sale.tenders.at(-1)?.why });
      return false;
    }
    if (stands === "gone") this.leave(note);
    else if (stands === "unasked") await this.#void(note);
    else if (stands === "parked") this.#parked(sale);
    else if (stands === "paid") return this.#close();
    else this.shop.show(this.#unpaid(sale, payment));
    return true;
  }

  async #close() {
    const fields = { sale: this.#sale, printer: this.shop.receipt ?? "" };
    const { sold, sale } = /** @type {any} */ (await this.till.call("sale.close", fields));
    if (sold.closed) this.#thank(sale, sold.closed);
    return Boolean(sold.closed);
  }

  #thank(/** @type {any} */ { ticket }, /** @type {any} */ { print, drawer }) {
    this.kept.empty();
    this.shop.show({ name: "done", sum: ticket.total, number: ticket.number, print, drawer });
  }

  #parked(/** @type {any} */ { parked, due, ticket: { total } }) {
    this.kept.empty();
    const paid = due === total ? null : minus(total, due);
    this.shop.show({ name: "parked", called: parked.name, paid });
  }

  /** What is shown of a sale that is not paid, or in part. */
  #unpaid(/** @type {any} */ sale, /** @type {any} */ payment) {
    const { due, ticket: { total }, tenders } = sale;
    const { operation, state, why } = tenders.at(-1);
    const refused = payment?.["not-charged"];
    const back = taken(sale);
    // What was cancelled before the terminal began has no outcome.
    const aborted = refused ? refused.reason === "aborted" : state === "refused" && this.#cancelled;
    return {
      name: standing(sale) === "part" ? "part" : "declined",
      paid: minus(total, due), due, total,
      back: operation === "reversal",
      refused: state === "refused",
      aborted,
      text: refused?.text ?? (state === "refused" && !aborted ? why : null),
      returnable: back.length > 0 && back.every((/** @type {any} */ { terminal, charge }) =>
        Boolean(charge?.reference) && this.shop.may("refund", terminal)),
    };
  }
}
