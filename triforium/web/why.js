// Why a picture comes in the layer that it comes in, as far as its receiver can know. Pure.

import { bits, nearestLayers } from "./stats.js";

const NAMES = ["Low", "Medium", "High"]; // by livekit-client's VideoQuality
const TOLERANCE = 0.9; // as much smaller than its tile a layer may be, and still be what the server picks for it

/**
 * The qualities among which to choose, as { quality, label }, or none if there is but one.
 *
 * The first one leaves the choice to the server. It asks for no less than the largest layer: livekit-client takes the
 * smaller of that and the tile's size.
 */
export function choices(layers) {
  const [largest, ...rest] = [...layers].sort((a, b) => b.quality - a.quality);
  if (rest.length === 0) return [];
  const lower = rest.map(({ quality, width, height }) => ({
    quality,
    label: `${NAMES[quality]}${width ? `, at most ${width} × ${height}` : ""}`,
  }));
  return [{ quality: largest.quality, label: "Auto" }, ...lower];
}

/**
 * A sentence on the size of a picture; nothing if there is nothing to say.
 *
 * `layers` are what the publisher says it sends, `quality` is the most that was chosen, `wanted` the size that was asked
 * for because of the tile, and `received` the size that comes.
 */
export function whyThisLayer({ isPaused, layers, quality, wanted, received }) {
  if (isPaused) return "Paused, because your connection cannot carry it just now.";
  if (layers.length < 2 || !received?.width || layers.some(({ width }) => !width)) return "";
  const [{ layer, isLargest }] = nearestLayers(received, layers).slice(-1);
  if (isLargest) return "This is the best that is sent.";
  if (layer.quality >= quality) return `You chose ${NAMES[layer.quality].toLowerCase()} quality.`;
  if (wanted && covers(layer, wanted)) return "Its tile needs no more.";
  return "More is not to be had now: a connection cannot carry it, or it is only beginning to be sent.";
}

/**
 * What the server says of its last decision on a picture, as [label, value] pairs; none if it says nothing.
 *
 * `decision` is one of `/debug/subscriptions`.
 */
export function decisionRows(decision) {
  if (!decision) return [];
  const { sent, paused, available, wanted, budget_bps: budget } = decision;
  const names = available.map(layerName);
  const choice = names.length > 1 ? ` of ${names.join(", ")}` : "";
  const rows = [["Server", sent ? `sends ${levelName(sent, decision.within)}${choice}` : `sends nothing: ${paused.join(", ").toLowerCase()}`]];
  if (names.length > 1) rows.push(["Wanted", `up to ${layerName(wanted)}`]);
  rows.push(["Your link", budget === null ? "shows no limit" : `carries ${bits(budget)}`]);
  return rows;
}

function levelName({ layer, spatial, temporal }, within) {
  const parts = [within.spatial > 1 ? `${(spatial ?? within.spatial - 1) + 1} of ${within.spatial} layers` : layerName(layer)];
  if (temporal !== null) parts.push(`${temporal + 1} of ${within.temporal} rates`);
  return parts.join(", ");
}

/** LiveKit's clients call their layers by a letter; others as they like. */
function layerName(name) {
  return { q: "low", h: "medium", f: "high" }[name] ?? name;
}

/** By height, or by width where the picture is upright. */
function covers({ width, height }, wanted) {
  return width < height ? width >= TOLERANCE * wanted.width : height >= TOLERANCE * wanted.height;
}
