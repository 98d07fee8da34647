// @ts-check
// How a page gets in: by the token of its tab, or by a one-time code; and how its connection is, in the page's header.
import { signedIn } from "/tresen.js";
import { at } from "/view.js";

/** @typedef {import("/tresen.js").Till} Till */

/**
 * Lets the page in, and again after it was signed out: what it follows stays, and what it waits for can be joined.
 * @param {Till} till
 * @param {any} words
 * @param {{ entered: () => Promise<void>, linked: () => void }} page `entered` each time the page was let in by a code or
 *   by the token of its tab, `linked` at each change of the connection.
 */
export function letIn(till, words, { entered, linked }) {
  const form = at("sign-in");
  const code = /** @type {HTMLInputElement} */ (at("code"));
  const ask = (why = "") => {
    at("sign-in-error").textContent = why;
    form.hidden = false;
    code.focus();
  };
  const enter = async (typed = "") => {
    form.hidden = true;
    try {
      if (typed) await till.signIn(typed);
      await till.opened();
      await entered();
    } catch (error) {
      ask(/** @type {Error} */ (error).message);
    }
  };
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    void enter(code.value);
    code.value = "";
  });
  till.watch((state, why) => {
    showLink(till, words);
    linked();
    if (state === "signed-out") ask(why?.message);
  });
  if (signedIn()) void enter();
  else ask();
}

/** Says how the connection is: in a word, and a colour that repeats it. @param {Till} till @param {any} words */
export function showLink(till, words) {
  const link = at("link");
  const text = words.t(till.state, till.about?.you ?? "");
  link.className = `state ${till.state === "open" ? "good" : "bad"}`;
  link.hidden = text === "";
  if (link.textContent !== text) link.textContent = text;
}
