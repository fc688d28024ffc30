// The way in: who one is, which room, and the connection.

import { invitation, readFragment, readToken, serverAddress } from "./address.js";
import { Captions } from "./captions.js";
import { Chat } from "./chat.js";
import { byId, next, showView } from "./dom.js";
import { ConnectionErrorReason, Room, isBrowserSupported } from "./livekit.js";
import { Preview, RESOLUTION } from "./preview.js";
import { askForToken, isGiven } from "./token.js";
import { Problem, joinProblem } from "./words.js";

const NAME = "triforium.name";
const TOKEN = "triforium.token";

const preview = new Preview();
byId("join-form").addEventListener("submit", (event) => event.preventDefault());
byId("join-token").addEventListener("input", describeToken);

/**
 * Show the way in until somebody is connected.
 *
 * Returns livekit-client's room, its chat and captions, what the room is called, the link that invites others (if there
 * is one), and the tracks to publish.
 */
export async function enterRoom() {
  readAddress();
  byId("server-address").textContent = serverAddress(location);
  showView("join");
  say(isBrowserSupported() ? "" : "This browser cannot do video calls. Try a newer one.");
  const opened = preview.open();
  for (;;) {
    await next(byId("join-form"), "submit");
    say("");
    try {
      const entry = await connect(await credentials());
      await opened; // who is quicker than their camera still takes it along
      return { ...entry, tracks: preview.release() };
    } catch (error) {
      say(error instanceof Problem ? error.message : joinProblem(error, ConnectionErrorReason[error.reason]));
    }
  }
}

/** Fill in what the address says. A token leaves the address at once: addresses are shown, shared and kept. */
function readAddress() {
  const { room, token } = readFragment(location.hash);
  if (token) {
    sessionStorage.setItem(TOKEN, token);
    history.replaceState(null, "", location.pathname);
  }
  const brought = token || (isGiven ? "" : (sessionStorage.getItem(TOKEN) ?? ""));
  const isAskedFor = !isGiven || Boolean(brought);
  byId("join-token").value = brought;
  byId("join-room").value ||= room || "lobby";
  byId("join-name").value ||= localStorage.getItem(NAME) ?? "";
  byId("join-token-field").hidden = !isAskedFor;
  byId("join-name-field").hidden = byId("join-room-field").hidden = isAskedFor;
  if (isAskedFor) describeToken();
}

function describeToken() {
  const token = byId("join-token").value.trim();
  const bearer = readToken(token);
  byId("join-title").textContent = bearer?.room ? `Join ${bearer.room}` : "Join a room";
  if (bearer) byId("join-token-text").textContent = `You join as ${bearer.name || "somebody without a name"}.`;
  else if (token) byId("join-token-text").textContent = "This is not a whole token.";
  else byId("join-token-text").textContent = "Whoever runs this server, or the app that sent you here, has one for you.";
}

/** The token to join with, and the room it is for. Throws a Problem. */
async function credentials() {
  if (!byId("join-token-field").hidden) {
    const token = byId("join-token").value.trim();
    const bearer = readToken(token);
    if (!bearer) throw missing("join-token", token ? "This is not a whole token. Copy it again." : "Paste your token first.");
    return { token, name: bearer.room, link: "" };
  }
  const person = byId("join-name").value.trim();
  const name = byId("join-room").value.trim();
  if (!person) throw missing("join-name", "Tell the others your name first.");
  if (!name) throw missing("join-room", "Which room do you want to join?");
  localStorage.setItem(NAME, person);
  const token = await askForToken(person, name);
  history.replaceState(null, "", invitation("", name));
  return { token, name, link: invitation(location.origin, name) };
}

async function connect({ token, name, link }) {
  const button = byId("join-button");
  button.disabled = true;
  button.textContent = "Joining…";
  const room = new Room({
    adaptiveStream: true,
    dynacast: true,
    videoCaptureDefaults: { deviceId: preview.chosen.videoinput, resolution: RESOLUTION },
    audioCaptureDefaults: { deviceId: preview.chosen.audioinput },
    audioOutput: { deviceId: preview.chosen.audiooutput },
  });
  const chat = new Chat(room);
  const captions = new Captions(room);
  try {
    await room.connect(serverAddress(location), token);
    return { room, token, chat, captions, name, link };
  } finally {
    button.disabled = false;
    button.textContent = "Join";
  }
}

function missing(id, sentence) {
  byId(id).focus();
  return new Problem(sentence);
}

function say(problem) {
  byId("join-problem").textContent = problem;
  byId("join-problem").hidden = !problem;
}
