// An operator's back end on LiveKit's published JavaScript SDK, in a process of its own. The lines are as in
// python_client.py; it calls RoomService, and takes webhooks, which the SDK verifies.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { RoomServiceClient, WebhookReceiver } from "livekit-server-sdk";

const [key, secret] = process.argv.slice(2);
const receiver = new WebhookReceiver(key, secret);
const events = [];
let rooms;

// 64-bit numbers are BigInt here, of which JSON knows nothing.
const plain = (value) => JSON.parse(JSON.stringify(value, (_, each) => (typeof each === "bigint" ? `${each}` : each)));

const calls = {
  listen: () =>
    new Promise((resolve) => {
      const server = createServer(async (request, response) => {
        const chunks = await Array.fromAsync(request);
        const body = Buffer.concat(chunks).toString();
        try {
          events.push(plain(await receiver.receive(body, request.headers.authorization)));
          response.end();
        } catch (error) {
          console.error(error);
          response.writeHead(401).end();
        }
      });
      server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}/webhook`));
      server.unref();
    }),
  events: () => events,
  connect: ({ url }) => {
    rooms = new RoomServiceClient(url.replace("ws", "http"), key, secret);
  },
  call: async ({ method, parameters }) => {
    try {
      return plain((await rooms[method](...parameters)) ?? {});
    } catch (error) {
      if (error.code === undefined) throw error;
      return { error: error.code, status: error.status, message: error.message };
    }
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, call, with: options } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ id, result: (await calls[call](options)) ?? null }));
  } catch (error) {
    console.error(error);
    console.log(JSON.stringify({ id, error: `${error}` }));
  }
}
process.exit();
