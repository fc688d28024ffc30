// The page from beginning to end: in, the call, out, and in again.

import { holdCall } from "./call.js";
import { byId, next, showView } from "./dom.js";
import { enterRoom } from "./join.js";
import { ending } from "./words.js";

for (;;) {
  const reason = await holdCall(await enterRoom());
  const { title, text } = ending(reason);
  byId("ended-title").textContent = title;
  byId("ended-text").textContent = text;
  showView("ended");
  await next(byId("ended-button"), "click");
}
