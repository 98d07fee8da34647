// @ts-check

/** What a reload must not lose, in `sessionStorage`: written down before the till is asked for anything. */
export class Kept {
  /** How many of each article. @type {Record<string, number>} */ basket = {};
  /** The id of the sale. @type {string | null} */ sale = null;
  /** Where it is paid. @type {string | null} */ terminal = null;
  /** The key of the call that moves money. @type {string | null} */ key = null;
  currency = "EUR";

  constructor() {
    Object.assign(this, JSON.parse(sessionStorage.getItem("kiosk") ?? "{}"));
  }

  /** @param {Partial<Kept>} changes */
  keep(changes) {
    Object.assign(this, changes);
    sessionStorage.setItem("kiosk", JSON.stringify(this));
  }

  /** The sale is in other hands, or over: the next customer begins. */
  empty() {
    this.keep({ basket: {}, sale: null, key: null });
  }
}
