// What is being said, as agents write it down while people and they themselves speak. Pure: the time comes as an argument.

export const SHOWN_MS = 8000; // after the last word
const MOST_LINES = 3;
const MOST_LETTERS = 240; // of each, the last ones

/** The lines that are to be read now. A segment is written again and again as it is understood better. */
export class Transcript {
  constructor() {
    this.segments = new Map(); // { speaker, text, at } by id, the oldest first
  }

  /** Write the segment of that id, or write it anew: `text` is all of it. */
  write(id, speaker, text, now) {
    const words = text.replace(/\s+/g, " ").trim();
    if (!words) return;
    this.segments.set(id, { speaker, text: ending(words), at: now });
    if (this.segments.size > MOST_LINES) this.segments.delete(this.segments.keys().next().value);
  }

  /** What to show, and when to look again (null: when something is written). */
  read(now) {
    for (const [id, { at }] of this.segments) if (now >= at + SHOWN_MS) this.segments.delete(id);
    const lines = [...this.segments].map(([id, { speaker, text }]) => ({ id, speaker, text }));
    const ends = [...this.segments.values()].map(({ at }) => at + SHOWN_MS);
    return { lines, lookAt: ends.length > 0 ? Math.min(...ends) : null };
  }
}

function ending(words) {
  const letters = [...words];
  return letters.length > MOST_LETTERS ? `…${letters.slice(1 - MOST_LETTERS).join("")}` : words;
}
