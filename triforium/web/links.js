// Addresses in what people write. Pure.

const ADDRESS = /https?:\/\/[^\s<>"]+/gi;
const CLOSING = /[.,;:!?'\])}»”]+$/; // belongs to the sentence

/** Cut a text into pieces of { text, isLink }, which make it up again in order. */
export function splitLinks(text) {
  const pieces = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = withoutClosing(found);
    if (!URL.canParse(address)) continue;
    if (index > end) pieces.push({ text: text.slice(end, index), isLink: false });
    pieces.push({ text: address, isLink: true });
    end = index + address.length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), isLink: false });
  return pieces;
}

/** A bracket that closes one within the address stays: encyclopaedias have such. */
function withoutClosing(address) {
  const shorter = address.replace(CLOSING, "");
  return address[shorter.length] === ")" && shorter.includes("(") ? `${shorter})` : shorter;
}
