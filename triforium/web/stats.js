// From WebRTC's statistics (W3C webrtc-stats) to a few rows of words. Pure.

/** What has come, or gone, of one track until now: one entry for each RTP stream. */
export function totals(report) {
  const entries = [...report.values()];
  const streams = entries.filter(({ type }) => type === "inbound-rtp" || type === "outbound-rtp");
  const codecs = new Map(entries.filter(({ type }) => type === "codec").map((codec) => [codec.id, codec.mimeType]));
  return streams.map((stream) => ({
    id: stream.id,
    isSent: stream.type === "outbound-rtp",
    isActive: stream.active !== false,
    time: stream.timestamp,
    bytes: stream.bytesReceived ?? stream.bytesSent ?? 0,
    packets: stream.packetsReceived ?? stream.packetsSent ?? 0,
    lost: stream.packetsLost,
    width: stream.frameWidth,
    height: stream.frameHeight,
    framesPerSecond: stream.framesPerSecond,
    codec: codecs.get(stream.codecId)?.split("/")[1].replace("opus", "Opus"),
  }));
}

/**
 * Rows of [label, value] for what `totals` gave now and a while before.
 *
 * `layers` are what the publisher says it sends, from TrackInfo.
 */
export function describe(now, before = [], layers = []) {
  const streams = now.filter(({ isActive }) => isActive);
  if (streams.length === 0) return [["Received", "nothing yet"]];
  const largest = streams.reduce((a, b) => ((b.height ?? 0) > (a.height ?? 0) ? b : a));
  const rows = [];
  if (largest.width) rows.push(["Picture", `${largest.width} × ${largest.height}${rate(largest)}`]);
  if (largest.width && !largest.isSent && layers.length > 1) rows.push(["Layer", layerOf(largest, layers)]);
  if (largest.isSent && streams.length > 1) rows.push(["Layers", `${streams.length} sent`]);
  rows.push(["Bitrate", bitrate(streams, before)]);
  if (!largest.isSent) rows.push(["Loss", loss(largest, before.find(({ id }) => id === largest.id))]);
  if (largest.codec) rows.push(["Codec", largest.codec]);
  return rows;
}

function rate({ framesPerSecond }) {
  return framesPerSecond === undefined ? "" : `, ${Math.round(framesPerSecond)} fps`;
}

/** The published layer whose size is nearest to what comes, counted from the smallest. Some publishers have two alike. */
export function layerOf(size, layers) {
  return `${nearestLayers(size, layers).map(({ number }) => number).join(" or ")} of ${layers.length}`;
}

/** Those layers of which one may be what comes, from the smallest, as { layer, number, isLargest }. */
export function nearestLayers({ width, height }, layers) {
  const sorted = [...layers].sort((a, b) => a.width * a.height - b.width * b.height || a.quality - b.quality);
  const distances = sorted.map((layer) => Math.abs(Math.log((layer.width * layer.height) / (width * height))));
  const least = Math.min(...distances);
  const numbered = sorted.map((layer, index) => ({ layer, number: index + 1, isLargest: index + 1 === sorted.length }));
  return numbered.filter((_, index) => distances[index] === least);
}

function bitrate(streams, before) {
  const known = streams.filter(({ id }) => before.some((each) => each.id === id));
  if (known.length === 0) return "measuring…";
  const bitsPerSecond = known.reduce((sum, stream) => {
    const then = before.find(({ id }) => id === stream.id);
    return sum + (8000 * (stream.bytes - then.bytes)) / Math.max(1, stream.time - then.time);
  }, 0);
  return bits(bitsPerSecond);
}

export function bits(perSecond) {
  return perSecond >= 1e6 ? `${(perSecond / 1e6).toFixed(1)} Mbit/s` : `${Math.round(perSecond / 1e3)} kbit/s`;
}

function loss(stream, then) {
  if (!then || stream.lost === undefined) return "measuring…";
  const lost = Math.max(0, stream.lost - then.lost);
  const expected = lost + stream.packets - then.packets;
  return expected > 0 ? `${((100 * lost) / expected).toFixed(1)} %` : "nothing came";
}
