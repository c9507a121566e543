import { expect, test } from "bun:test";
import { listen } from "../../mod.ts";
import { utf8 } from "../../src/lib/bytes.ts";
import { openRedisHttp } from "../../transports/redis_http.ts";
import { until, within } from "../support/until.ts";

const CLOSE_MS = 2_000;

/** An endpoint whose every stream begins and does not end. */
async function startEndless() {
  const open = new Set<string>();
  const listener = await listen({
    port: 0,
    fetch(request) {
      const channel = new URL(request.url).pathname.replace("/subscribe/", "");
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          open.add(channel);
          controller.enqueue(utf8(`data: subscribe,${channel},1\n\n`));
        },
        cancel: () => void open.delete(channel),
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    },
  });
  return { open, listener };
}

test("a closed connection over HTTP leaves no stream behind, even where fetch has forgotten its signal", async () => {
  const { open, listener } = await startEndless();
  const { fetch } = globalThis;
  const forgetful = (url: string, init?: RequestInit) => fetch(url, { ...init, signal: null });
  globalThis.fetch = forgetful as typeof fetch;
  try {
    const ignored = { message() {}, unheard() {}, lost() {} };
    const endpoint = { origin: listener.url, token: "T" };
    const { signal } = new AbortController();
    const connection = await openRedisHttp(endpoint, ["one", "two"], ignored, signal);
    expect([...open].sort()).toEqual(["one", "two"]);
    await within("it is closed", connection.close(), CLOSE_MS);
    await until("the streams have ended", () => open.size === 0);
  } finally {
    globalThis.fetch = fetch;
    await listener.close();
  }
});
