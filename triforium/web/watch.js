// The page at /watch/ROOM: asks for a token where it has none, and shows who is there.

import { readFragment } from "./address.js";
import { byId } from "./dom.js";
import { askForToken, isGiven } from "./token.js";
import { watch } from "./whep.js";

const PEOPLE = 6;
const STILL_MS = 2000; // a picture that has not moved for so long is nobody's
const AGAIN_MS = 1000;

const room = decodeURIComponent(location.pathname.replace(/^\/watch\//, ""));
const form = byId("watch-form");
const problem = byId("watch-problem");
const pictures = byId("watch-pictures");
let stop = null;

document.title = `${room} · Triforium`;
byId("watch-title").textContent = `Watch ${room}`;
byId("watch-token").value = readFragment(location.hash).token;
byId("watch-token-field").hidden = isGiven;
form.hidden = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
addEventListener("pagehide", () => stop?.());
setInterval(hideStillPictures, STILL_MS);

async function start() {
  problem.hidden = true;
  byId("watch-button").disabled = true;
  try {
    const token = isGiven ? await askForToken("watcher", room) : byId("watch-token").value.trim();
    stop = await watch("/whep/v1", token, { people: PEOPLE, show, ended: again });
    form.hidden = true;
    byId("watch-empty").hidden = false;
  } catch (error) {
    problem.textContent = error.title ?? error.message;
    problem.hidden = false;
    form.hidden = false;
  }
  byId("watch-button").disabled = false;
}

function show(stream) {
  const video = document.createElement("video");
  video.autoplay = video.playsInline = true;
  video.srcObject = stream;
  video.hidden = true;
  pictures.append(video);
}

function hideStillPictures() {
  for (const video of pictures.children) {
    const frames = video.getVideoPlaybackQuality().totalVideoFrames;
    video.hidden = frames === Number(video.dataset.frames ?? 0);
    video.dataset.frames = frames;
  }
  byId("watch-empty").hidden = !form.hidden || [...pictures.children].some((video) => !video.hidden);
}

function again() {
  stop?.();
  stop = null;
  pictures.replaceChildren();
  setTimeout(start, AGAIN_MS);
}
