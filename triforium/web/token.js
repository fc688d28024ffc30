// Where the token comes from: the development server gives one to its own page; otherwise people bring theirs.

import { Problem, joinProblem, tokenProblem } from "./words.js";

/** Whether this server gives tokens to whoever asks. */
export const isGiven = document.querySelector("meta[name=triforium-tokens]").content === "given";

/** A token for `name` in `room`, from a development server. Throws a Problem. */
export async function askForToken(name, room) {
  let response;
  try {
    response = await fetch("/dev/token", { method: "POST", body: JSON.stringify({ room, name, identity: identity(name) }) });
  } catch {
    throw new Problem(joinProblem({}, "ServerUnreachable"));
  }
  if (!response.ok) throw new Problem(tokenProblem(response.status));
  return (await response.json()).token;
}

/** The same for as long as the tab lives, so that who reloads the page takes their own place and leaves no double. */
function identity(name) {
  let suffix = sessionStorage.getItem("triforium.tab");
  if (!suffix) {
    suffix = Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("triforium.tab", suffix);
  }
  return `${name}-${suffix}`;
}
