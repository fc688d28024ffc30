// Short messages that go away by themselves. Their box is a live region, so screen readers say them too.

import { byId, element } from "./dom.js";

const SECONDS = 6;
const MOST = 3;

/** Say something, if there is something to say. */
export function notify(text) {
  if (!text) return;
  const box = byId("notices");
  const notice = element("p", { class: "notice" }, text);
  box.append(notice);
  if (box.children.length > MOST) box.firstChild.remove();
  setTimeout(() => notice.remove(), SECONDS * 1000);
}
