// @ts-check
// What the dashboard asks before it does something, in one dialog.
import { at, el } from "/view.js";

/**
 * Asks, and does what was decided. The dialog stays open if that fails, and says why.
 * @param {any} words
 * @param {{ title: string, how?: string, fields?: Node[], decide: string, kind?: string }} question
 * @param {(answers: FormData) => Promise<unknown>} act
 */
export function ask(words, { title, how, fields = [], decide, kind = "main" }, act) {
  const dialog = /** @type {HTMLDialogElement} */ (at("dialog"));
  const error = el("p.error", { role: "alert" });
  const button = /** @type {HTMLButtonElement} */ (el(`button.${kind}`, { type: "submit" }, decide));
  const leave = el("button", { type: "button" }, words.t("cancel"));
  const form = /** @type {HTMLFormElement} */ (el("form", { method: "dialog" },
    el("h2", { id: "dialog-title" }, title), how ? el("p.quiet", {}, how) : null, fields, error,
    el("div.actions", {}, leave, button)));
  leave.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    button.disabled = true;
    try {
      const text = await act(new FormData(form));
      dialog.close();
      say(typeof text === "string" ? text : words.t("done"));
    } catch (failure) {
      error.textContent = words.t("failed", /** @type {Error} */ (failure).message);
      button.disabled = false;
    }
  });
  show(dialog, form);
}

/**
 * Shows a picture.
 * @param {any} words
 * @param {string} title
 * @param {string} alt
 * @param {Promise<Blob>} picture
 */
export async function look(words, title, alt, picture) {
  const dialog = /** @type {HTMLDialogElement} */ (at("dialog"));
  const leave = el("button.main", { type: "button" }, words.t("close"));
  const content = el("div", {}, el("h2", { id: "dialog-title" }, title), el("div.actions", {}, leave));
  leave.addEventListener("click", () => dialog.close());
  show(dialog, content);
  try {
    const url = URL.createObjectURL(await picture);
    content.lastChild?.before(el("img.paper", { src: url, alt }));
    dialog.addEventListener("close", () => URL.revokeObjectURL(url), { once: true });
  } catch (failure) {
    content.lastChild?.before(el("p.error", { role: "alert" }, /** @type {Error} */ (failure).message));
  }
}

/** The fields that settle a payment. @param {any} words @param {string} amount @param {string} who */
export function settling(words, amount, who) {
  const { t } = words;
  const choice = (/** @type {string} */ value) =>
    el("label.choice", {}, el("input", { type: "radio", name: "outcome", value, required: true }), t(value));
  return [
    el("fieldset", {}, el("legend", {}, t("outcome")), choice("charged"), choice("not-charged")),
    ...field("amount", t("amount", amount), { value: amount, required: true, autocomplete: "off" }),
    ...field("by", t("by"), { value: who, required: true }),
    ...field("reason", t("reason"), { required: true, placeholder: t("reason-such-as"), autocomplete: "off" }),
  ];
}

/** @param {string} name @param {string} label @param {Record<string, any>} properties */
export function field(name, label, properties) {
  const id = `dialog-${name}`;
  return [el("label", { for: id }, label), el("input", { id, name, ...properties })];
}

/** Closes what is open: nobody can decide it now. */
export function dismiss() {
  /** @type {HTMLDialogElement} */ (at("dialog")).close();
}

/** Says something to those who do not see the page change. @param {string} text */
export function say(text) {
  at("said").textContent = text;
}

function show(/** @type {HTMLDialogElement} */ dialog, /** @type {Node} */ content) {
  dialog.replaceChildren(content);
  if (!dialog.open) dialog.showModal();
}
