// What the page says when something goes otherwise than hoped. Pure: names of errors and reasons in, sentences out.

/** An error whose message is such a sentence. */
export class Problem extends Error {}

const DEVICES = { audioinput: "microphone", videoinput: "camera", both: "camera and microphone" };

/** Why a device of that kind cannot be used, and what helps. */
export function deviceProblem(error, kind) {
  const device = DEVICES[kind];
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return `Your browser does not let this page use your ${device}. Allow it in the address bar, then try again.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${device} was found. Connect one, or join without.`;
    case "NotReadableError":
    case "AbortError":
      return `Your ${device} cannot be opened. Perhaps another program uses it.`;
    case "TypeError": // there is no navigator.mediaDevices
    case "DeviceUnsupportedError":
      return `Browsers give a ${device} to secure pages only: open this page by https, or on the server's own machine.`;
    default:
      return `Your ${device} does not work: ${error.message || error.name}.`;
  }
}

/** Why a screen cannot be shared; nothing if its owner only changed their mind. */
export function screenProblem(error) {
  if (error.name === "NotAllowedError") return "";
  if (error.name === "DeviceUnsupportedError" || error.name === "TypeError") return "This browser cannot share a screen.";
  return `The screen cannot be shared: ${error.message || error.name}.`;
}

/** Why a room could not be joined: an error, and the name of livekit-client's ConnectionErrorReason if it has one. */
export function joinProblem(error, reason) {
  const said = error.message ?? "";
  if (/token is expired/i.test(said)) return "This token has expired. Ask for a new one.";
  if (/not valid yet/i.test(said)) return "This token is not valid yet. Is your clock right?";
  if (error.status === 503 || /\bfull\b|too many/i.test(said)) return "The server is full just now. Try again in a moment.";
  if (/requested room does not exist/i.test(said)) return "There is no such room, and this token cannot open one.";
  switch (reason) {
    case "NotAllowed":
      return "The server does not accept this token. Check that it was copied whole, and is for this server.";
    case "ServerUnreachable":
    case "WebSocket":
      return "The server cannot be reached. Check your connection, and whether the server runs.";
    case "ServiceNotFound":
      return "There is no media server at this address.";
    case "Timeout":
      return "The server takes too long to answer. Try again.";
    case "LeaveRequest":
      return "The server ended the call before it began. Try again.";
    case "InternalError":
      return /pc connection|could not establish/i.test(said)
        ? "The server can be reached, but no sound or pictures get through. A firewall may block UDP."
        : "Something went wrong on the server. Try again.";
    default:
      return said ? `Joining failed: ${said}.` : "Joining failed.";
  }
}

/** Why the server that gives tokens gave none. */
export function tokenProblem(status) {
  if (status === 400) return "A name and a room have at most 64 letters.";
  if (status === 503) return "The server is full just now. Try again in a moment.";
  return "The server gives no token to this page.";
}

const ENDINGS = {
  CLIENT_INITIATED: ["You have left", "The others can no longer hear or see you."],
  DUPLICATE_IDENTITY: ["You are in the room elsewhere", "You joined again from another tab or device, so this one left."],
  SERVER_SHUTDOWN: ["The server has stopped", "Whoever runs it has shut it down, perhaps to start it anew."],
  PARTICIPANT_REMOVED: ["You were removed", "Somebody who may do so has taken you out of the room."],
  ROOM_DELETED: ["The room is closed", "Somebody has ended it for all."],
  ROOM_CLOSED: ["The room is closed", "It has ended for all."],
  MIGRATION: ["The server has moved", "Join again to follow it."],
};

/** A heading and a sentence for the end of a call, by LiveKit's name of its reason. */
export function ending(reason) {
  const [title, text] = ENDINGS[reason] ?? ["The connection was lost", "It could not be made again. Check your network."];
  return { title, text };
}

/** What the call's header says of the connection, by livekit-client's state; nothing while all is well. */
export function connectionState(state) {
  switch (state) {
    case "reconnecting":
      return "Reconnecting…";
    case "signalReconnecting":
      return "Reconnecting to the server…";
    case "connecting":
      return "Connecting…";
    default:
      return "";
  }
}

/** Why a message was not sent. */
export function dataProblem(error) {
  return `Your message was not sent: ${error.message || error.name}. Try again.`;
}

/** What the chat's button is called. */
export function unread(count) {
  if (count === 0) return "Chat";
  return count === 1 ? "Chat, 1 unread message" : `Chat, ${count} unread messages`;
}

/** As much of a text as one takes in at a glance. */
export function shorten(text, most = 80) {
  const letters = [...text.replace(/\s+/g, " ").trim()];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : letters.join("");
}

/** What an agent does, by its attribute `lk.agent.state`; nothing of states that nobody knows. */
export function agentState(attribute) {
  return { initializing: "starting…", idle: "idle", listening: "listening", thinking: "thinking…", speaking: "speaking" }[attribute] ?? "";
}

export function people(count) {
  return count === 1 ? "only you" : `${count} people`;
}

/** Up to two letters that stand for a name. */
export function initials(name) {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean);
  const chosen = words.length > 1 ? [words[0], words.at(-1)] : words;
  return chosen.map((word) => [...word][0].toUpperCase()).join("") || "?";
}
