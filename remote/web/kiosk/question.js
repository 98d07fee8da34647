// @ts-check
// A question of the terminal, to whoever stands at the kiosk.
import { at, el } from "/view.js";

/**
 * Asks it.
 * @param {any} open Its id and the question.
 * @param {(name: string, ...with_: any[]) => string} t
 * @param {(answer: import("/tresen.js").QuestionAnswer) => void} answer
 */
export function ask(open, t, answer) {
  const dialog = /** @type {HTMLDialogElement} */ (at("question"));
  const say = (/** @type {string} */ text, /** @type {import("/tresen.js").QuestionAnswer} */ what, kind = "button") => {
    const button = el(kind, { type: "button" }, text);
    button.addEventListener("click", () => answer(what));
    return button;
  };
  const decline = say(t("decline"), "declined");
  const { wanted, text } = open.question;
  const [kind, detail] = typeof wanted === "string" ? [wanted, null] : Object.entries(wanted)[0];
  const row = (/** @type {Node[]} */ ...buttons) => el("div.actions", {}, decline, buttons);
  /** @type {Node} */
  let content;
  if (kind === "choice") content = row(...detail.of.map((/** @type {string} */ choice, /** @type {number} */ place) => say(choice, { choice: place })));
  else if (kind === "acknowledgement") content = row(say(t("ok"), "yes", "button.main"));
  else if (kind === "number" || kind === "text") content = entry(kind, detail, row(el("button.main", {}, t("ok"))), answer);
  else content = row(say(t("no"), "no"), say(t("yes"), "yes", "button.main"));
  dialog.dataset.id = open.id;
  dialog.replaceChildren(el("h2", { id: "question-text" }, text), content);
  // Leaving it with the Escape key is an answer too.
  dialog.oncancel = () => answer("declined");
  if (!dialog.open) dialog.showModal();
}

/** The question is not open any more. @param {string} id */
export function close(id) {
  if (at("question").dataset.id === id) dismiss();
}

/** Nobody can answer now. */
export function dismiss() {
  /** @type {HTMLDialogElement} */ (at("question")).close();
}

/**
 * @param {string} kind
 * @param {{ min: number, max: number, masked: boolean }} length
 * @param {Node} buttons
 * @param {(answer: import("/tresen.js").QuestionAnswer) => void} answer
 */
function entry(kind, { min, max, masked }, buttons, answer) {
  const input = /** @type {HTMLInputElement} */ (el("input", {
    type: masked ? "password" : "text", minlength: min, maxlength: max, required: true, autocomplete: "off",
    inputmode: kind === "number" ? "numeric" : "text", pattern: kind === "number" ? "[0-9]*" : null,
    "aria-labelledby": "question-text",
  }));
  const form = el("form", {}, input, buttons);
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    answer({ text: input.value });
  });
  return form;
}
