// @ts-check
// A question of the terminal, to whoever stands at the kiosk.
import { at, el } from "/view.js";

/**
 * Asks it.
 * @param {any} open Its id and the question.
 * @param {(name: string, ...with_: any[]) => string} t
 * @param {(answer: unknown) => void} answer
 */
export function ask(open, t, answer) {
  const dialog = /** @type {HTMLDialogElement} */ (at("question"));
  const say = (/** @type {string} */ text, /** @type {unknown} */ what, kind = "button") => {
    const button = el(kind, { type: "button" }, text);
    button.addEventListener("click", () => answer(what));
    return button;
  };
  const { wanted, text } = open.question;
  const [kind, detail] = typeof wanted === "string" ? [wanted, null] : Object.entries(wanted)[0];
  /** @type {Node[]} */
  let content;
  if (kind === "choice") content = detail.of.map((/** @type {string} */ choice, /** @type {number} */ place) => say(choice, { choice: place }));
  else if (kind === "acknowledgement") content = [say(t("ok"), "yes", "button.main")];
  else if (kind === "number" || kind === "text") content = entry(kind, detail, t, answer);
  else content = [say(t("no"), "no"), say(t("yes"), "yes", "button.main")];
  dialog.dataset.id = open.id;
  dialog.replaceChildren(
    el("h2", { id: "question-text" }, text), el("div.actions", {}, say(t("decline"), "declined"), content));
  // Leaving it with the Escape key is an answer too.
  dialog.oncancel = () => answer("declined");
  if (!dialog.open) dialog.showModal();
}

/** The question is not open any more. @param {string} id */
export function close(id) {
  const dialog = /** @type {HTMLDialogElement} */ (at("question"));
  if (dialog.dataset.id === id) dialog.close();
}

/**
 * @param {string} kind
 * @param {{ min: number, max: number, masked: boolean }} length
 * @param {(name: string) => string} t
 * @param {(answer: unknown) => void} answer
 */
function entry(kind, { min, max, masked }, t, answer) {
  const input = /** @type {HTMLInputElement} */ (el("input", {
    type: masked ? "password" : "text", minlength: min, maxlength: max, required: true, autocomplete: "off",
    inputmode: kind === "number" ? "numeric" : "text", pattern: kind === "number" ? "[0-9]*" : null,
    "aria-labelledby": "question-text",
  }));
  const form = el("form", {}, input, el("button.main", {}, t("ok")));
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    answer({ text: input.value });
  });
  return [form];
}
