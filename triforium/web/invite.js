// The link that brings others into the room, where the server gives tokens to whoever follows it.

import { byId } from "./dom.js";
import { notify } from "./notices.js";

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Offer `link` in the call's header, or nothing if it is empty. */
export function offerInvitation(link) {
  byId("invite-button").hidden = !link;
  byId("invite-link").value = link;
  byId("invite-text").textContent = LOOPBACK.has(location.hostname)
    ? "Whoever opens this link on this computer comes into the room."
    : "Whoever opens this link comes into the room.";
}

byId("invite-button").addEventListener("click", () => byId("invite-dialog").showModal());

byId("invite-copy").addEventListener("click", async () => {
  byId("invite-link").select();
  try {
    await navigator.clipboard.writeText(byId("invite-link").value);
    byId("invite-dialog").close();
    notify("The link is copied");
  } catch {
    byId("invite-text").textContent = "Your browser does not let this page copy. Copy the marked link yourself.";
  }
});
