/** `/api`, `/healthz` and `/readyz`, asked without a network: the routes are a function of a request. */
import { beforeEach, describe, expect, test } from "bun:test";
import { FlotillaError } from "../../src/lib/errors.ts";
import { flotillaRoutes } from "../../src/server/routes.ts";
import type { RouteOptions } from "../../src/server/serving.ts";
import { FakeCluster } from "../support/fake_cluster.ts";
import { until } from "../support/until.ts";
import { ask, connected, errorOf } from "./api_fixture.ts";

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
});

describe("health", () => {
  test("/healthz answers as long as the process does", async () => {
    cluster.running = false;
    expect(await ask(cluster, "GET /healthz", { from: "10.9.9.9" })).toMatchObject({
      status: 200,
      body: { status: "ok" },
    });
  });

  test("/readyz is 200 while clients are welcome", async () => {
    expect(await ask(cluster, "GET /readyz", { from: "10.9.9.9" })).toMatchObject({
      status: 200,
      body: { status: "ready" },
    });
  });

  test("/readyz is 503 with the reason when the node does not run or is leaving", async () => {
    cluster.goodbye = "";
    expect(await ask(cluster, "GET /readyz")).toMatchObject({
      status: 503,
      body: { status: "unready", reasons: ["the node is leaving the cluster"] },
    });
    cluster.running = false;
    expect(await ask(cluster, "GET /readyz")).toMatchObject({
      status: 503,
      body: { status: "unready", reasons: ["the node is not running"] },
    });
  });
});

describe("the API without a token", () => {
  test("answers loopback", async () => {
    expect((await ask(cluster, "GET /api/cluster")).status).toBe(200);
  });

  test("refuses other machines", async () => {
    const { status, body } = await ask(cluster, "GET /api/cluster", { from: "10.0.0.1" });
    expect([status, errorOf(body)]).toEqual([403, "unauthorized"]);
    expect(cluster.rejected.unauthorized).toBe(1);
  });

  test.each(["localhost", "localhost:80", "127.0.0.1", "[::1]:80", "api.localhost"])(
    "answers to the name %s",
    async (host) => {
      expect((await ask(cluster, "GET /api/cluster", { headers: { host } })).status).toBe(200);
    },
  );

  test.each(["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "a b", ""])(
    "refuses the name %s, which may be rebound",
    async (host) => {
      expect((await ask(cluster, "GET /api/cluster", { headers: { host } })).status).toBe(403);
      expect(cluster.rejected.origin).toBe(1);
    },
  );

  test("refuses any web page, its own host's too", async () => {
    expect((await ask(cluster, "GET /api/cluster", { headers: { origin: "http://127.0.0.1:80" } })).status)
      .toBe(403);
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
    expect((await ask(cluster, "GET /api/cluster", { from: "10.0.0.1", options, headers })).status).toBe(200);
  });

  test.each(["", "Bearer", "Bearer wrong", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret"])(
    "refuses the credentials %s, from loopback too",
    async (authorization) => {
      const { status, headers } = await ask(cluster, "GET /api/cluster", {
        options,
        headers: { authorization },
      });
      expect([status, headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
      expect(cluster.rejected.unauthorized).toBe(1);
    },
  );

  test.each(["", "two words", " padded", "ümlaut"])(
    "may not be '%s', which nobody could present",
    (apiToken) => {
      expect(() => flotillaRoutes(cluster, { apiToken })).toThrow(
        "apiToken must be ASCII text without spaces, not what was given",
      );
    },
  );
});

describe("paths", () => {
  test.each(["GET /api/connections/%ff", "POST /api/messages/%zz", "PUT /api/state/%E2%82"])(
    "%s is 400: the name in it cannot be read",
    async (line) => {
      const { status, body } = await ask(cluster, line);
      expect([status, errorOf(body)]).toEqual([400, "malformed"]);
      expect(JSON.stringify(body)).toContain(line.split("/").at(-1) ?? "");
      expect(cluster.rejected["bad-request"]).toBe(1);
    },
  );

  test.each(["GET /", "GET /nope", "POST /healthz", "POST /ws"])(
    "%s is 404 with a JSON error",
    async (line) => {
      const { status, body } = await ask(cluster, line);
      expect([status, errorOf(body)]).toEqual([404, "not-found"]);
    },
  );

  test.each(["/ws", "/healthz", "/readyz", "/api", "/api/mesh"])(
    "%s cannot be the nodes' channel too",
    (path) => {
      cluster.acceptor = { channelName: path, accept: () => ({ message() {}, drain() {}, close() {} }) };
      expect(() => flotillaRoutes(cluster)).toThrow(`channelName "${path}"`);
    },
  );
});

describe("looking", () => {
  test("GET /api/cluster and /api/stats show what the cluster says", async () => {
    connected(cluster, "alice");
    expect((await ask(cluster, "GET /api/cluster")).body).toEqual(cluster.view());
    expect((await ask(cluster, "GET /api/stats")).body).toEqual(JSON.parse(JSON.stringify(cluster.stats())));
  });

  test("GET /api/connections/:id shows one connection without its tags", async () => {
    connected(cluster, "alice/ä");
    expect(await ask(cluster, `GET /api/connections/${encodeURIComponent("alice/ä")}`)).toMatchObject({
      status: 200,
    });
    expect((await ask(cluster, `GET /api/connections/${encodeURIComponent("alice/ä")}`)).body).toEqual({
      connectionId: "alice/ä",
      nodeId: "fake",
      endpoint: "/ws",
      remoteAddress: "10.0.0.1:5",
      connectedAt: 7,
    });
  });

  test("GET /api/connections/:id of nobody is 404", async () => {
    const { status, body } = await ask(cluster, "GET /api/connections/nobody");
    expect([status, errorOf(body)]).toEqual([404, "not-found"]);
  });

  test.each([["node-lost", 503], ["timeout", 504], ["not-running", 503]] as const)(
    "an owner that is %s is %i",
    async (code, expected) => {
      cluster.failure = new FlotillaError(code, "as the test says");
      const { status, body } = await ask(cluster, "GET /api/connections/alice");
      expect([status, body]).toEqual([expected, { error: { code, message: "as the test says" } }]);
    },
  );

  test("an unexpected failure is 500 and says nothing of its cause", async () => {
    cluster.failure = new Error("with a secret inside");
    const { status, body } = await ask(cluster, "GET /api/connections/alice");
    expect([status, body]).toEqual([500, {
      error: { code: "internal", message: "the server failed to answer" },
    }]);
  });

  test("GET /api/connections pages through all ids", async () => {
    for (const id of ["c", "a", "e", "b", "d"]) connected(cluster, id);
    const seen: unknown[] = [];
    let after: string | null = "";
    do {
      const { body } = await ask(cluster, `GET /api/connections?limit=2&after=${after}`);
      const page = body as { connections: { connectionId: string; nodeId: string }[]; next: string | null };
      seen.push(page.connections.map(({ connectionId }) => connectionId));
      after = page.next;
    } while (after !== null);
    expect(seen).toEqual([["a", "b"], ["c", "d"], ["e"]]);
  });

  test.each(["0", "1001", "-1", "x", "1.5", ""])("a limit of %s is 400 and named", async (limit) => {
    const { status, body } = await ask(cluster, `GET /api/connections?limit=${limit}`);
    expect([status, errorOf(body)]).toEqual([400, "malformed"]);
    expect(JSON.stringify(body)).toContain(`not ${JSON.stringify(JSON.stringify(limit)).slice(1, -1)}`);
    expect(cluster.rejected["bad-request"]).toBe(1);
  });

  test("what the API does not have is 404", async () => {
    const { status, body } = await ask(cluster, "GET /api/nothing");
    expect([status, errorOf(body)]).toEqual([404, "not-found"]);
  });
});

describe("DELETE /api/connections/:id", () => {
  test("closes the connection with the code and reason given", async () => {
    const sink = connected(cluster, "alice");
    expect(await ask(cluster, "DELETE /api/connections/alice?code=4123&reason=b%C3%BCe")).toMatchObject({
      status: 200,
      body: { closed: true },
    });
    await ask(cluster, "DELETE /api/connections/alice");
    expect(sink.closes).toEqual([[4123, "büe"], [1000, ""]]);
  });

  test("of nobody is 404", async () => {
    expect((await ask(cluster, "DELETE /api/connections/nobody")).status).toBe(404);
  });

  test.each(["code=1005", "code=1006", "code=2000", "code=5000", "code=x", `reason=${"x".repeat(124)}`])(
    "with %s is 400",
    async (query) => {
      const sink = connected(cluster, "alice");
      expect((await ask(cluster, `DELETE /api/connections/alice?${query}`)).status).toBe(400);
      expect(sink.closes).toEqual([]);
    },
  );
});

describe("POST /api/shutdown", () => {
  test("answers 202 and then leaves", async () => {
    expect((await ask(cluster, "POST /api/shutdown")).status).toBe(202);
    await until("the cluster leaves", () => cluster.shutdowns.length === 1);
    expect((await ask(cluster, "POST /api/shutdown", { init: { body: '{"force":true}' } })).status).toBe(202);
    await until("the cluster leaves by force", () => cluster.shutdowns.length === 2);
    expect(cluster.shutdowns).toEqual([{ force: false }, { force: true }]);
  });

  test("with a force that is no boolean is 400", async () => {
    expect((await ask(cluster, "POST /api/shutdown", { init: { body: '{"force":"yes"}' } })).status).toBe(
      400,
    );
  });

  test("is left to the option `shutdown` where there is one", async () => {
    const asked: unknown[] = [];
    await ask(cluster, "POST /api/shutdown", { options: { shutdown: async (how) => void asked.push(how) } });
    await until("it was asked", () => asked.length === 1);
    expect(cluster.shutdowns).toEqual([]);
  });
});
