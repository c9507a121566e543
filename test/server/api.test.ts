/** `/api`, `/healthz` and `/readyz`, asked without a network: the routes are a function of a request. */
import { beforeEach, describe, expect, test } from "bun:test";
import { FlotillaError } from "../../src/lib/errors.ts";
import type { ConnectionSink } from "../../src/connection/sink.ts";
import { flotillaRoutes } from "../../src/server/routes.ts";
import type { RouteOptions } from "../../src/server/serving.ts";
import { FakeCluster } from "../support/fake_cluster.ts";
import { until } from "./until.ts";

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
});

interface Asked {
  readonly from?: string;
  readonly options?: RouteOptions;
  readonly init?: RequestInit;
  readonly headers?: Record<string, string>;
}

/** Sends `METHOD /path`, from loopback unless said otherwise. */
async function ask(
  line: string,
  { from = "127.0.0.1", options = {}, init = {}, headers = {} }: Asked = {},
): Promise<{ status: number; body: unknown; headers: Headers }> {
  const [method = "GET", path = "/"] = line.split(" ");
  const request = new Request(`http://127.0.0.1:80${path}`, {
    method,
    ...init,
    headers: { host: "127.0.0.1:80", ...headers },
  });
  const remote = { address: from, port: 1, loopback: from === "127.0.0.1" };
  const flotilla = { remote, loopbackOnly: false, upgrade: () => new Response() };
  const response = await flotillaRoutes(cluster, options).fetch(request, { flotilla });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

class Sink implements ConnectionSink {
  onDrain: (() => void) | undefined = undefined;
  readonly bufferedBytes = 0;
  readonly sent: (string | Uint8Array<ArrayBuffer>)[] = [];
  readonly closes: unknown[] = [];

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    this.sent.push(data);
    return true;
  }

  close(code: number, reason: string): void {
    this.closes.push([code, reason]);
  }
}

function connected(connectionId: string): Sink {
  const sink = new Sink();
  const details = { endpoint: "/ws", remoteAddress: "10.0.0.1:5", connectedAt: 7, tags: { secret: "tag" } };
  cluster.registerConnection(connectionId, details, sink);
  return sink;
}

const errorOf = (body: unknown): unknown => (body as { error: { code: string } }).error.code;

describe("health", () => {
  test("/healthz answers as long as the process does", async () => {
    cluster.running = false;
    expect(await ask("GET /healthz", { from: "10.9.9.9" })).toMatchObject({
      status: 200,
      body: { status: "ok" },
    });
  });

  test("/readyz is 200 while clients are welcome", async () => {
    expect(await ask("GET /readyz", { from: "10.9.9.9" })).toMatchObject({
      status: 200,
      body: { status: "ready" },
    });
  });

  test("/readyz is 503 with the reason when the node does not run or is leaving", async () => {
    cluster.goodbye = "";
    expect(await ask("GET /readyz")).toMatchObject({
      status: 503,
      body: { status: "unready", reasons: ["the node is leaving the cluster"] },
    });
    cluster.running = false;
    expect(await ask("GET /readyz")).toMatchObject({
      status: 503,
      body: { status: "unready", reasons: ["the node is not running"] },
    });
  });
});

describe("the API without a token", () => {
  test("answers loopback", async () => {
    expect((await ask("GET /api/cluster")).status).toBe(200);
  });

  test("refuses other machines", async () => {
    const { status, body } = await ask("GET /api/cluster", { from: "10.0.0.1" });
    expect([status, errorOf(body)]).toEqual([403, "unauthorized"]);
    expect(cluster.rejected.unauthorized).toBe(1);
  });

  test.each(["localhost", "localhost:80", "127.0.0.1", "[::1]:80", "api.localhost"])(
    "answers to the name %s",
    async (host) => {
      expect((await ask("GET /api/cluster", { headers: { host } })).status).toBe(200);
    },
  );

  test.each(["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "a b", ""])(
    "refuses the name %s, which may be rebound",
    async (host) => {
      expect((await ask("GET /api/cluster", { headers: { host } })).status).toBe(403);
      expect(cluster.rejected.origin).toBe(1);
    },
  );

  test("refuses any web page, its own host's too", async () => {
    expect((await ask("GET /api/cluster", { headers: { origin: "http://127.0.0.1:80" } })).status).toBe(403);
    expect(cluster.rejected.origin).toBe(1);
  });

  test("refuses when it is served by a server that does not say who asks", async () => {
    const response = await flotillaRoutes(cluster).fetch(new Request("http://127.0.0.1/api/cluster"));
    expect(response.status).toBe(403);
  });
});

describe("the API with a token", () => {
  const options: RouteOptions = { apiToken: "s3cret" };

  test("answers whoever presents it, from anywhere", async () => {
    const headers = { authorization: "Bearer s3cret", host: "node.example" };
    expect((await ask("GET /api/cluster", { from: "10.0.0.1", options, headers })).status).toBe(200);
  });

  test.each(["", "Bearer", "Bearer wrong", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret"])(
    "refuses the credentials %s, from loopback too",
    async (authorization) => {
      const { status, headers } = await ask("GET /api/cluster", { options, headers: { authorization } });
      expect([status, headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
      expect(cluster.rejected.unauthorized).toBe(1);
    },
  );

  test("may not be empty", () => {
    expect(() => flotillaRoutes(cluster, { apiToken: "" })).toThrow("apiToken must not be empty");
  });
});

describe("looking", () => {
  test("GET /api/cluster and /api/stats show what the cluster says", async () => {
    connected("alice");
    expect((await ask("GET /api/cluster")).body).toEqual(cluster.view());
    expect((await ask("GET /api/stats")).body).toEqual(JSON.parse(JSON.stringify(cluster.stats())));
  });

  test("GET /api/connections/:id shows one connection without its tags", async () => {
    connected("alice/ä");
    expect(await ask(`GET /api/connections/${encodeURIComponent("alice/ä")}`)).toMatchObject({ status: 200 });
    expect((await ask(`GET /api/connections/${encodeURIComponent("alice/ä")}`)).body).toEqual({
      connectionId: "alice/ä",
      nodeId: "fake",
      endpoint: "/ws",
      remoteAddress: "10.0.0.1:5",
      connectedAt: 7,
    });
  });

  test("GET /api/connections/:id of nobody is 404", async () => {
    const { status, body } = await ask("GET /api/connections/nobody");
    expect([status, errorOf(body)]).toEqual([404, "not-found"]);
  });

  test.each([["node-lost", 503], ["timeout", 504], ["not-running", 503]] as const)(
    "an owner that is %s is %i",
    async (code, expected) => {
      cluster.failure = new FlotillaError(code, "as the test says");
      const { status, body } = await ask("GET /api/connections/alice");
      expect([status, body]).toEqual([expected, { error: { code, message: "as the test says" } }]);
    },
  );

  test("an unexpected failure is 500 and says nothing of its cause", async () => {
    cluster.failure = new Error("with a secret inside");
    const { status, body } = await ask("GET /api/connections/alice");
    expect([status, body]).toEqual([500, {
      error: { code: "internal", message: "the server failed to answer" },
    }]);
  });

  test("GET /api/connections pages through all ids", async () => {
    for (const id of ["c", "a", "e", "b", "d"]) connected(id);
    const seen: unknown[] = [];
    let after: string | null = "";
    do {
      const { body } = await ask(`GET /api/connections?limit=2&after=${after}`);
      const page = body as { connections: { connectionId: string; nodeId: string }[]; next: string | null };
      seen.push(page.connections.map(({ connectionId }) => connectionId));
      after = page.next;
    } while (after !== null);
    expect(seen).toEqual([["a", "b"], ["c", "d"], ["e"]]);
  });

  test.each(["0", "1001", "-1", "x", "1.5", ""])("a limit of %s is 400 and named", async (limit) => {
    const { status, body } = await ask(`GET /api/connections?limit=${limit}`);
    expect([status, errorOf(body)]).toEqual([400, "malformed"]);
    expect(JSON.stringify(body)).toContain(`not ${JSON.stringify(JSON.stringify(limit)).slice(1, -1)}`);
    expect(cluster.rejected["bad-request"]).toBe(1);
  });

  test("what the API does not have is 404", async () => {
    const { status, body } = await ask("GET /api/nothing");
    expect([status, errorOf(body)]).toEqual([404, "not-found"]);
  });
});

describe("POST /api/messages/:id", () => {
  test.each([
    ["text/plain", true],
    ["text/plain;charset=UTF-8", true],
    ["application/json", true],
    ["application/ld+json; charset=utf-8", true],
    ["application/octet-stream", false],
    ["application/jsonish", false],
    ["", false],
  ])("a body of %s is text: %s", async (contentType, isText) => {
    const sink = connected("alice");
    const body = new TextEncoder().encode('{"ä":1}');
    const { status, body: answer } = await ask("POST /api/messages/alice", {
      init: { body },
      headers: { "content-type": contentType },
    });
    expect([status, answer]).toEqual([200, { delivered: true, outcome: "delivered", nodeId: "fake" }]);
    expect(sink.sent).toEqual([isText ? '{"ä":1}' : body]);
  });

  test("an empty body is an empty message", async () => {
    const sink = connected("alice");
    expect((await ask("POST /api/messages/alice")).status).toBe(200);
    expect(sink.sent).toEqual([new Uint8Array(0)]);
  });

  test.each(
    [
      ["delivered", 200],
      ["acknowledged", 200],
      ["not-found", 404],
      ["closed", 410],
      ["backpressure", 503],
      ["too-large", 413],
      ["unauthorized", 403],
      ["node-lost", 503],
      ["timeout", 504],
    ] as const,
  )("the outcome %s is %i", async (outcome, expected) => {
    cluster.outcomes.set("alice", outcome);
    const { status, body } = await ask("POST /api/messages/alice", { init: { body: "x" } });
    expect(status).toBe(expected);
    expect(body).toEqual({ delivered: expected === 200, outcome, nodeId: null });
  });

  test("a body over messageBytesMax is 413, by its declared length and by what comes", async () => {
    const tooLong = new Uint8Array(cluster.messageBytesMax + 1);
    const declared = await ask("POST /api/messages/alice", {
      init: { body: "x" },
      headers: { "content-length": String(tooLong.byteLength) },
    });
    expect([declared.status, errorOf(declared.body)]).toEqual([413, "too-large"]);
    let pulled = 0;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(16 * 1024));
      },
    });
    const init: RequestInit & { duplex: "half" } = { body, duplex: "half" };
    const streamed = await ask("POST /api/messages/alice", { init });
    expect([streamed.status, errorOf(streamed.body)]).toEqual([413, "too-large"]);
    expect(pulled).toBeLessThan(12);
    expect(cluster.delivered).toEqual([]);
  });

  test("text that is not UTF-8 is 400", async () => {
    const { status, body } = await ask("POST /api/messages/alice", {
      init: { body: new Uint8Array([0xff]) },
      headers: { "content-type": "text/plain" },
    });
    expect([status, errorOf(body)]).toEqual([400, "malformed"]);
  });

  test.each(["%00", "x".repeat(257), "%C3%A4".repeat(129)])("the id %s is 400", async (id) => {
    const { status, body } = await ask(`POST /api/messages/${id}`, { init: { body: "x" } });
    expect([status, errorOf(body)]).toEqual([400, "malformed"]);
  });
});

describe("POST /api/messages", () => {
  const batch = (body: unknown): Promise<{ status: number; body: unknown }> =>
    ask("POST /api/messages", { init: { body: JSON.stringify(body) } });

  test("delivers one text to many, each id once, and names each outcome", async () => {
    const alice = connected("alice");
    connected("__proto__");
    cluster.outcomes.set("slow", "timeout");
    const { status, body } = await batch({
      connectionIds: ["alice", "slow", "alice", "__proto__", "x"],
      text: "hi",
    });
    expect(status).toBe(200);
    expect(JSON.stringify(body)).toBe(
      '{"results":{"alice":"delivered","slow":"timeout","__proto__":"delivered","x":"not-found"}}',
    );
    expect(alice.sent).toEqual(["hi"]);
  });

  test("delivers base64 as binary", async () => {
    const alice = connected("alice");
    await batch({ connectionIds: ["alice"], base64: "AAH/" });
    expect(alice.sent).toEqual([new Uint8Array([0, 1, 255])]);
  });

  test.each([
    ["no ids", { text: "x" }],
    ["ids that are no list", { connectionIds: "alice", text: "x" }],
    ["an id that is no string", { connectionIds: [7], text: "x" }],
    ["an empty id", { connectionIds: [""], text: "x" }],
    ["no message", { connectionIds: ["a"] }],
    ["two messages", { connectionIds: ["a"], text: "x", base64: "" }],
    ["a text that is no string", { connectionIds: ["a"], text: 7 }],
    ["base64 that is none", { connectionIds: ["a"], base64: "&" }],
    ["10,001 ids", { connectionIds: Array.from({ length: 10_001 }, (_, index) => `id-${index}`), text: "x" }],
    ["a list", []],
    ["null", null],
  ])("%s is 400", async (_what, body) => {
    const { status, body: answer } = await batch(body);
    expect([status, errorOf(answer)]).toEqual([400, "malformed"]);
    expect(cluster.delivered).toEqual([]);
  });

  test("what is not JSON is 400", async () => {
    expect((await ask("POST /api/messages", { init: { body: "{" } })).status).toBe(400);
  });

  test("10,000 ids pass", async () => {
    const connectionIds = Array.from({ length: 10_000 }, (_, index) => `id-${index}`);
    expect((await batch({ connectionIds, text: "x" })).status).toBe(200);
  });

  test("a message over messageBytesMax is 413", async () => {
    const { status, body } = await batch({
      connectionIds: ["a"],
      text: "ä".repeat(cluster.messageBytesMax / 2 + 1),
    });
    expect([status, errorOf(body)]).toEqual([413, "too-large"]);
  });
});

describe("DELETE /api/connections/:id", () => {
  test("closes the connection with the code and reason given", async () => {
    const sink = connected("alice");
    expect(await ask("DELETE /api/connections/alice?code=4123&reason=b%C3%BCe")).toMatchObject({
      status: 200,
      body: { closed: true },
    });
    await ask("DELETE /api/connections/alice");
    expect(sink.closes).toEqual([[4123, "büe"], [1000, ""]]);
  });

  test("of nobody is 404", async () => {
    expect((await ask("DELETE /api/connections/nobody")).status).toBe(404);
  });

  test.each(["code=1005", "code=1006", "code=2000", "code=5000", "code=x", `reason=${"x".repeat(124)}`])(
    "with %s is 400",
    async (query) => {
      const sink = connected("alice");
      expect((await ask(`DELETE /api/connections/alice?${query}`)).status).toBe(400);
      expect(sink.closes).toEqual([]);
    },
  );
});

describe("POST /api/shutdown", () => {
  test("answers 202 and then leaves", async () => {
    expect((await ask("POST /api/shutdown")).status).toBe(202);
    await until("the cluster leaves", () => cluster.shutdowns.length === 1);
    expect((await ask("POST /api/shutdown", { init: { body: '{"force":true}' } })).status).toBe(202);
    await until("the cluster leaves by force", () => cluster.shutdowns.length === 2);
    expect(cluster.shutdowns).toEqual([{ force: false }, { force: true }]);
  });

  test("with a force that is no boolean is 400", async () => {
    expect((await ask("POST /api/shutdown", { init: { body: '{"force":"yes"}' } })).status).toBe(400);
  });

  test("is left to the option `shutdown` where there is one", async () => {
    const asked: unknown[] = [];
    await ask("POST /api/shutdown", { options: { shutdown: async (how) => void asked.push(how) } });
    await until("it was asked", () => asked.length === 1);
    expect(cluster.shutdowns).toEqual([]);
  });
});

describe("what is not served yet", () => {
  test.each([
    "PUT /api/streams/alice",
    "PUT /api/streams?ids=a,b",
    "GET /api/state/k",
    "PUT /api/state/k",
    "DELETE /api/state/k",
  ])(
    "%s is 501",
    async (line) => {
      const { status, body } = await ask(line);
      expect([status, errorOf(body)]).toEqual([501, "unsupported"]);
    },
  );
});
