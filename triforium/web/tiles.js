// The tiles: one for each person, and one more for each screen that somebody shares.

import { Details } from "./details.js";
import { byId } from "./dom.js";
import { arrange } from "./layout.js";
import { Track } from "./livekit.js";
import { Tile } from "./tile.js";

/** Shows who is in `room`. It is told that something changed, and looks for itself what did. */
export class Tiles {
  constructor(room, token) {
    this.room = room;
    this.list = byId("tiles");
    this.tiles = new Map(); // by key
    this.pinned = null; // a key
    this.details = new Details(token);
    this.observer = new ResizeObserver(() => this.#arrange());
    this.observer.observe(this.list);
  }

  /** Make the tiles what they should be now. */
  update() {
    const wanted = this.#wanted();
    for (const [key, tile] of this.tiles) {
      if (wanted.get(key)?.participant !== tile.participant) this.#remove(key, tile); // gone, or come back as another
    }
    let following = null;
    for (const [key, who] of [...wanted].reverse()) {
      const tile = this.tiles.get(key) ?? this.#add(key, who, following);
      tile.update(key === this.pinned);
      following = tile.item; // the keyboard goes through tiles as the eye does, and no tile moves: its video would stop
    }
    this.#arrange();
  }

  /** Take everything away. */
  close() {
    this.observer.disconnect();
    this.details.close();
    for (const [key, tile] of this.tiles) this.#remove(key, tile);
  }

  /** Which tiles there should be, by key: those who came first stand first, and oneself last. */
  #wanted() {
    const others = [...this.room.remoteParticipants.values()];
    others.sort((a, b) => a.joinedAt - b.joinedAt || a.sid.localeCompare(b.sid));
    const wanted = new Map();
    for (const participant of [...others, this.room.localParticipant]) {
      for (const source of [Track.Source.ScreenShare, Track.Source.Camera]) {
        const isShown = source === Track.Source.Camera || participant.getTrackPublication(source);
        if (isShown) wanted.set(`${source} ${participant.identity}`, { participant, source });
      }
    }
    return wanted;
  }

  #add(key, { participant, source }, following) {
    const tile = new Tile(participant, source, {
      pin: () => this.#pin(key),
      tell: (button) => this.details.open(tile, button),
    });
    this.tiles.set(key, tile);
    this.list.insertBefore(tile.item, following);
    if (tile.isScreen && !participant.isLocal) this.pinned ??= key; // a shared screen is what everybody looks at
    return tile;
  }

  #remove(key, tile) {
    if (this.pinned === key) this.pinned = null;
    this.details.forget(tile);
    this.tiles.delete(key);
    tile.close();
  }

  #pin(key) {
    this.pinned = this.pinned === key ? null : key;
    this.update();
  }

  #arrange() {
    const order = [...this.#wanted().keys()].filter((key) => this.tiles.has(key));
    if (this.pinned) order.sort((a, b) => (b === this.pinned) - (a === this.pinned));
    const boxes = arrange(this.list.clientWidth, this.list.clientHeight, order.length, this.pinned !== null);
    boxes.forEach((box, index) => this.tiles.get(order[index]).place(box));
  }
}
