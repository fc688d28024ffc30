// Watch a room with what every browser has, by WHEP. Copy this file: it needs nothing else of Triforium's.

/**
 * Ask `endpoint` for `people` pictures with their sound. `show(stream)` is called with each MediaStream, of one picture
 * and one sound at most; what is in it changes hands as people come and go. `ended()` is called when media stops for
 * good: watch anew. Resolves to a function that ends it all; throws an Error if the server says no.
 */
export async function watch(endpoint, token, { people = 1, show, ended = () => {} }) {
  const connection = new RTCPeerConnection();
  for (let each = 0; each < people; each++) {
    connection.addTransceiver("audio", { direction: "recvonly" });
    connection.addTransceiver("video", { direction: "recvonly" });
  }
  const streams = new Set();
  connection.addEventListener("track", ({ streams: [stream] }) => {
    if (!streams.has(stream)) show(stream);
    streams.add(stream);
  });
  connection.addEventListener("connectionstatechange", () => {
    if (connection.connectionState === "failed") ended();
  });
  const authorization = { Authorization: `Bearer ${token}` };
  try {
    await connection.setLocalDescription(); // the server finds out where we are: no candidate need be waited for
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { ...authorization, "Content-Type": "application/sdp" },
      body: connection.localDescription.sdp,
    });
    const answer = await response.text();
    if (!response.ok) throw new Error(answer);
    const session = new URL(response.headers.get("Location"), response.url);
    await connection.setRemoteDescription({ type: "answer", sdp: answer });
    return async () => {
      const goodbye = fetch(session, { method: "DELETE", headers: authorization, keepalive: true });
      connection.close();
      await goodbye.catch(() => {}); // a server that cannot be reached finds out by itself
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}
