// The token: the development server gives one to its own page, otherwise people bring theirs; and what it opens.

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

/** What the server decided on each track that the bearer of `token` is sent, by the track's sid; none if it does not say. */
export async function decisions(token) {
  try {
    const response = await fetch("/debug/subscriptions", { headers: { Authorization: `Bearer ${token}` } });
    return response.ok ? (await response.json()).subscriptions : {};
  } catch {
    return {}; // it is away just now
  }
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
