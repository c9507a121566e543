import { describe, expect, test } from "bun:test";
import { FlotillaError } from "../../src/lib/errors.ts";
import { flotillaRoutes } from "../../src/server/routes.ts";
import { FakeCluster } from "../support/fake_cluster.ts";
import { ask, errorOf } from "./api_fixture.ts";

async function raw(
  cluster: FakeCluster,
  path: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  const request = new Request(`http://127.0.0.1:80${path}`, {
    headers: { host: "127.0.0.1:80", ...headers },
  });
  const remote = { address: "127.0.0.1", port: 1, loopback: true };
  const flotilla = { remote, loopbackOnly: false, upgrade: () => new Response() };
  return await flotillaRoutes(cluster, {}).fetch(request, { flotilla });
}

const put = (body: string, headers: Record<string, string> = {}) => ({ init: { body }, headers });

describe("the replicated state over HTTP", () => {
  test("stores a body and gives it back as it was, with its revision as ETag", async () => {
    const cluster = new FakeCluster();
    const stored = await ask(cluster, "PUT /api/state/greeting", put("hello"));
    expect([stored.status, stored.body, stored.headers.get("etag")]).toEqual([200, { revision: 1 }, '"1"']);
    const found = await raw(cluster, "/api/state/greeting");
    expect([found.status, await found.text(), found.headers.get("etag")]).toEqual([200, "hello", '"1"']);
    expect(cluster.state.lastRead).toEqual({ stale: false });
  });

  test("answers 304 for a revision that is known, and reads stale on request", async () => {
    const cluster = new FakeCluster();
    await ask(cluster, "PUT /api/state/k", put("v"));
    const known = await raw(cluster, "/api/state/k?stale=true", { "if-none-match": 'W/"7", "1"' });
    expect([known.status, known.headers.get("etag")]).toEqual([304, '"1"']);
    expect(cluster.state.lastRead).toEqual({ stale: true });
    const other = await raw(cluster, "/api/state/k", { "if-none-match": '"7"' });
    expect(other.status).toBe(200);
    expect((await raw(cluster, "/api/state/k?stale=maybe")).status).toBe(400);
  });

  test("keys may hold anything that a URL can escape", async () => {
    const cluster = new FakeCluster();
    const key = "a/b c?d#é 日";
    await ask(cluster, `PUT /api/state/${encodeURIComponent(key)}`, put("v"));
    expect((await cluster.state.get(key))?.revision).toBe(1);
  });

  test("compares and sets: If-Match, and If-None-Match: * for a key that must be absent", async () => {
    const cluster = new FakeCluster();
    const first = await ask(cluster, "PUT /api/state/k", put("1", { "if-none-match": "*" }));
    expect(first.body).toEqual({ revision: 1 });
    const again = await ask(cluster, "PUT /api/state/k", put("2", { "if-none-match": "*" }));
    expect([again.status, errorOf(again.body), again.headers.get("etag")]).toEqual([412, "conflict", '"1"']);
    const stale = await ask(cluster, "PUT /api/state/k", put("2", { "if-match": '"9"' }));
    expect([stale.status, stale.headers.get("etag")]).toEqual([412, '"1"']);
    const matched = await ask(cluster, "PUT /api/state/k", put("2", { "if-match": '"1"' }));
    expect([matched.status, matched.body]).toEqual([200, { revision: 2 }]);
    const absent = await ask(cluster, "PUT /api/state/other", put("x", { "if-match": '"1"' }));
    expect([absent.status, absent.headers.get("etag")]).toEqual([412, null]);
  });

  test("deletes, with and without a condition", async () => {
    const cluster = new FakeCluster();
    await ask(cluster, "PUT /api/state/k", put("v"));
    const refused = await ask(cluster, "DELETE /api/state/k", { headers: { "if-match": '"2"' } });
    expect(refused.status).toBe(412);
    const matched = await ask(cluster, "DELETE /api/state/k", { headers: { "if-match": '"1"' } });
    expect(matched.status).toBe(200);
    const absent = await ask(cluster, "DELETE /api/state/k");
    expect([absent.status, errorOf(absent.body)]).toEqual([404, "not-found"]);
    await ask(cluster, "PUT /api/state/k", put("v"));
    expect((await ask(cluster, "DELETE /api/state/k")).body).toEqual({ revision: 4 });
    expect((await raw(cluster, "/api/state/k")).status).toBe(404);
  });

  for (
    const [name, line, headers] of [
      ["a revision without quotes", "PUT /api/state/k", { "if-match": "1" }],
      ["several revisions", "PUT /api/state/k", { "if-match": '"1", "2"' }],
      ["any revision", "PUT /api/state/k", { "if-match": "*" }],
      ["a revision that must not match", "PUT /api/state/k", { "if-none-match": '"1"' }],
      ["both conditions", "PUT /api/state/k", { "if-match": '"1"', "if-none-match": "*" }],
      ["a revision beyond all numbers", "PUT /api/state/k", { "if-match": '"9999999999999999"' }],
      ["an absent key to delete", "DELETE /api/state/k", { "if-none-match": "*" }],
    ] as const
  ) {
    test(`refuses a condition that says nothing here: ${name}`, async () => {
      const cluster = new FakeCluster();
      const init = line.startsWith("PUT") ? { init: { body: "v" } } : {};
      const answer = await ask(cluster, line, { ...init, headers });
      expect([answer.status, errorOf(answer.body)]).toEqual([400, "malformed"]);
      expect(cluster.state.revision).toBe(0);
    });
  }

  test("says what failed: no leader 503, no answer in time 504, too large 413", async () => {
    const cluster = new FakeCluster();
    const large = await ask(cluster, "PUT /api/state/k", put("x".repeat(1_048_577)));
    expect([large.status, errorOf(large.body)]).toEqual([413, "too-large"]);
    for (const [code, status] of [["no-leader", 503], ["timeout", 504], ["unsupported", 501]] as const) {
      cluster.state.failure = new FlotillaError(code, "as told");
      for (const line of ["PUT /api/state/k", "DELETE /api/state/k", "GET /api/state/k"]) {
        const answer = await ask(cluster, line, line.startsWith("PUT") ? put("v") : {});
        expect([line, answer.status, errorOf(answer.body)]).toEqual([line, status, code]);
      }
    }
  });
});
