// What an address says: a room in its fragment, or a token. Fragments never leave the browser; queries end in logs.

const TOKEN = "#token=";

/** Read a fragment such as `#lobby` or `#token=eyJ…`. */
export function readFragment(fragment) {
  if (fragment.startsWith(TOKEN)) return { room: "", token: decode(fragment.slice(TOKEN.length)) };
  return { room: decode(fragment.replace(/^#/, "")), token: "" };
}

/** The address to send to others, for a server that gives tokens. */
export function invitation(origin, room) {
  return `${origin}/#${encodeURIComponent(room)}`;
}

/** Where clients connect to, for a page from `location`. */
export function serverAddress({ protocol, host }) {
  return `${protocol === "https:" ? "wss" : "ws"}://${host}`;
}

/** What a token says of its bearer, or null if it is none. Only the server can tell whether it is good. */
export function readToken(token) {
  try {
    const payload = token.trim().split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return { room: claims.video?.room ?? "", name: claims.name || claims.sub || "" };
  } catch {
    return null;
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone %: it is what they wrote
  }
}
