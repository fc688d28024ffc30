// Live transcripts below the tiles: of agents' text streams, and of the packets that older ones send as well.

import { byId, element } from "./dom.js";
import { RoomEvent } from "./livekit.js";
import { Transcript } from "./transcript.js";

const TOPIC = "lk.transcription";
const MOST_LETTERS = 10_000; // of one stream

/** Listens from before `room` is connected, so that the first words are not missed. */
export class Captions {
  constructor(room) {
    this.room = room;
    this.box = byId("captions");
    this.transcript = new Transcript();
    this.timer = null;
    room.registerTextStreamHandler(TOPIC, (reader, { identity }) => this.#follow(reader, identity));
    room.on(RoomEvent.TranscriptionReceived, (segments, speaker) => {
      for (const { id, text } of segments) this.#write(id, speaker?.identity ?? "", text);
    });
  }

  /** Forget what was said. */
  close() {
    this.room.unregisterTextStreamHandler(TOPIC);
    clearTimeout(this.timer);
    this.box.replaceChildren();
  }

  /** Write a stream as it comes: all of it is one segment, or one more attempt at it. */
  async #follow(reader, sender) {
    const { "lk.segment_id": segment, "lk.transcribed_track_id": track } = reader.info.attributes ?? {};
    const speaker = this.#publisher(track) ?? sender;
    let text = "";
    for await (const piece of reader) {
      text += piece;
      if (text.length > MOST_LETTERS) return; // the rest is not read
      this.#write(segment ?? reader.info.id, speaker, text);
    }
  }

  #write(id, speaker, text) {
    this.transcript.write(id, speaker, text, Date.now());
    this.#show();
  }

  #show() {
    clearTimeout(this.timer);
    const now = Date.now();
    const { lines, lookAt } = this.transcript.read(now);
    const shown = new Map([...this.box.children].map((line) => [line.dataset.segment, line]));
    this.box.replaceChildren(
      ...lines.map(({ id, speaker, text }) => {
        const line = shown.get(id) ?? element("p", { "data-segment": id }, element("b", {}, this.#name(speaker)), " ", element("span"));
        line.querySelector("span").textContent = text;
        return line;
      }),
    );
    if (lookAt !== null) this.timer = setTimeout(() => this.#show(), lookAt - now);
  }

  #publisher(trackSid) {
    const people = [this.room.localParticipant, ...this.room.remoteParticipants.values()];
    return people.find(({ trackPublications }) => trackPublications.has(trackSid))?.identity;
  }

  #name(identity) {
    if (identity === this.room.localParticipant.identity) return "You";
    return this.room.remoteParticipants.get(identity)?.name || identity;
  }
}
