// @ts-check
// What the pages have in common: elements, redrawing without losing the focus, languages, amounts and times.

/**
 * An element. `on…` is set by {@link handle}, by its name; so that a redraw need not replace elements.
 * @param {string} name As in a selector: `li.row`.
 * @param {Record<string, any>} [properties] Attributes; `false`, `null` and `undefined` leave one out.
 * @param {...any} children Nodes, text, lists of them; `null`, `undefined` and `false` are left out.
 * @returns {HTMLElement}
 */
export function el(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [attribute, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(attribute, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Makes the children of `parent` those of `children`, and changes no more than that: elements stay what they are, with
 * focus, selection and scrolling. Elements of one list are told apart by `data-key`.
 * @param {Element} parent
 * @param {Array<Node>} children
 */
export function redraw(parent, children) {
  const keyed = new Map([...parent.children].map((child) => [child.getAttribute("data-key"), child]));
  keyed.delete(null);
  let at = /** @type {ChildNode | null} */ (parent.firstChild);
  for (const child of children) {
    const key = child instanceof Element ? child.getAttribute("data-key") : null;
    const found = key === null ? at : keyed.get(key) ?? null;
    if (!found || !alike(found, child)) {
      parent.insertBefore(child, at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else parent.insertBefore(found, at);
    become(found, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** @param {Node} one @param {Node} other */
function alike(one, other) {
  if (one instanceof Element && other instanceof Element) {
    return one.tagName === other.tagName && one.getAttribute("data-key") === other.getAttribute("data-key");
  }
  return one.nodeType === other.nodeType;
}

/** @param {Node} old @param {Node} wanted */
function become(old, wanted) {
  if (!(old instanceof Element) || !(wanted instanceof Element)) {
    if (old.nodeValue !== wanted.nodeValue) old.nodeValue = wanted.nodeValue;
    return;
  }
  // Drawn by somebody else, such as a camera's picture.
  if (old.hasAttribute("data-kept") && wanted.hasAttribute("data-kept")) return;
  for (const { name } of [...old.attributes]) if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  redraw(old, [...wanted.childNodes]);
}

/**
 * Calls the action that the `data-do` of a button names, with its other `data-…`.
 * @param {Record<string, (data: DOMStringMap, button: HTMLElement) => unknown>} actions
 */
export function handle(actions) {
  document.addEventListener("click", (click) => {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (click.target).closest("[data-do]"));
    const action = button && actions[button.dataset.do ?? ""];
    if (button && action) action(button.dataset, button);
  });
}

/** @param {string} id */
export function at(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * The texts of a page in the language of the browser, or the one that was chosen.
 * @param {Record<string, Record<string, string>>} texts By language, by name; `{0}` stands for the first argument.
 */
export function language(texts) {
  const known = Object.keys(texts);
  const wanted = [localStorage.getItem("tresen language"), ...navigator.languages.map((tag) => tag.slice(0, 2))];
  let chosen = wanted.find((tag) => tag && known.includes(tag)) ?? known[0];
  const t = (/** @type {string} */ name, /** @type {any[]} */ ...with_) =>
    (texts[chosen][name] ?? name).replace(/\{(\d)\}/g, (_, at) => String(with_[at] ?? ""));
  return {
    t,
    get tag() {
      return chosen;
    },
    has: (/** @type {string} */ name) => name in texts[chosen],
    choose(/** @type {string} */ tag) {
      chosen = tag;
      localStorage.setItem("tresen language", tag);
      this.apply();
    },
    /** Writes the texts of the page itself: of elements with `data-text`, and `data-label` for their accessible name. */
    apply() {
      document.documentElement.lang = chosen;
      for (const element of document.querySelectorAll("[data-text]")) {
        element.textContent = t(element.getAttribute("data-text") ?? "");
      }
      for (const element of document.querySelectorAll("[data-label]")) {
        element.setAttribute("aria-label", t(element.getAttribute("data-label") ?? ""));
      }
    },
    /** `12.50 EUR` as the language writes it. */
    money(/** @type {string} */ amount) {
      const [value, currency] = amount.split(" ");
      const digits = value.includes(".") ? value.length - value.indexOf(".") - 1 : 0;
      const options = { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits };
      return new Intl.NumberFormat(chosen, /** @type {any} */ (options)).format(/** @type {any} */ (value));
    },
    /** A time of today as 14:05:09, another one with its day. */
    time(/** @type {string} */ text) {
      const then = new Date(text);
      const today = then.toDateString() === new Date().toDateString();
      const style = today ? { timeStyle: "medium" } : { dateStyle: "short", timeStyle: "short" };
      return new Intl.DateTimeFormat(chosen, /** @type {any} */ (style)).format(then);
    },
    /** How long something takes or took: `4 s`, `12 min`, `3 h`, `2 d`. */
    span(/** @type {number} */ ms) {
      const seconds = Math.max(Math.round(ms / 1000), 0);
      if (seconds < 100) return `${seconds} s`;
      if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
      if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
      return `${Math.round(seconds / 86_400)} d`;
    },
    bytes(/** @type {number} */ count) {
      const [unit, size] = count < 1e7 ? ["kB", 1e3] : count < 1e10 ? ["MB", 1e6] : ["GB", 1e9];
      return `${new Intl.NumberFormat(chosen, { maximumFractionDigits: 0 }).format(count / /** @type {number} */ (size))} ${unit}`;
    },
  };
}
