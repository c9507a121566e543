/** Streams over HTTP: the body, of any length, as a stream to one connection, or to many. */
import { beforeEach, describe, expect, test } from "bun:test";
import { FakeCluster } from "../support/fake_cluster.ts";
import { ask, connected, errorOf, OUTCOME_STATUSES } from "./api_fixture.ts";

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
});

describe("PUT /api/streams/:id", () => {
  test("streams the body, and says what became of it", async () => {
    const sink = connected(cluster, "alice");
    const body = new Uint8Array(100_000).fill(7);
    const { status, body: answer } = await ask(cluster, "PUT /api/streams/alice?delivery=chunks", {
      init: { body },
    });
    expect([status, answer]).toEqual([200, {
      delivered: true,
      outcome: "delivered",
      bytes: 100_000,
      chunks: 1,
      ms: 1,
    }]);
    expect(sink.sent).toEqual([body]);
    expect(cluster.streamed[0]).toMatchObject({ delivery: "chunks", messageType: "binary" });
  });

  test("an empty body is an empty stream", async () => {
    connected(cluster, "alice");
    expect((await ask(cluster, "PUT /api/streams/alice")).body).toMatchObject({
      outcome: "delivered",
      bytes: 0,
    });
  });

  test("takes its options from the query, the total from content-length, and text by its type", async () => {
    connected(cluster, "alice");
    const query =
      "chunkSize=1000&timeoutMs=5000&idleTimeoutMs=6000&stallTimeoutMs=7000&metadata=%7B%22a%22%3A1%7D";
    await ask(cluster, `PUT /api/streams/alice?${query}`, {
      init: { body: "grüße" },
      headers: { "content-type": "text/plain", "content-length": "7" },
    });
    expect(cluster.streamed[0]).toEqual({
      chunkSize: 1_000,
      totalBytes: 7,
      timeoutMs: 5_000,
      idleTimeoutMs: 6_000,
      stallTimeoutMs: 7_000,
      metadata: { a: 1 },
      messageType: "text",
      delivery: undefined,
    });
  });

  test.each(OUTCOME_STATUSES)("the outcome %s is %i", async (outcome, expected) => {
    cluster.outcomes.set("alice", outcome);
    const { status, body } = await ask(cluster, "PUT /api/streams/alice", { init: { body: "x" } });
    expect(status).toBe(expected);
    expect(body).toMatchObject({ delivered: expected === 200, outcome });
  });

  test.each(["chunkSize=many", "totalBytes=-1", "timeoutMs=1e3", "metadata=%7B"])(
    "a query with %s is 400 and names it",
    async (query) => {
      const { status, body } = await ask(cluster, `PUT /api/streams/alice?${query}`, { init: { body: "x" } });
      expect([status, errorOf(body)]).toEqual([400, "malformed"]);
      expect(JSON.stringify(body)).toContain(query.split("=")[0] as string);
    },
  );

  test("an id that is none is 400", async () => {
    expect((await ask(cluster, "PUT /api/streams/%00", { init: { body: "x" } })).status).toBe(400);
  });
});

describe("PUT /api/streams?ids=", () => {
  test("streams the body to each, and has an outcome for each", async () => {
    const [alice, bob] = [connected(cluster, "alice"), connected(cluster, "bob")];
    cluster.outcomes.set("carol", "not-found");
    const { status, body } = await ask(cluster, "PUT /api/streams?ids=alice,bob,carol", {
      init: { body: "hello" },
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      results: {
        alice: { delivered: true, outcome: "delivered", bytes: 5 },
        bob: { delivered: true, outcome: "delivered", bytes: 5 },
        carol: { delivered: false, outcome: "not-found" },
      },
    });
    expect([alice.sent.length, bob.sent.length]).toEqual([1, 1]);
  });

  test.each(["", "?ids=", "?ids=a,,b"])("without ids ('%s') is 400", async (query) => {
    const { status, body } = await ask(cluster, `PUT /api/streams${query}`, { init: { body: "x" } });
    expect([status, errorOf(body)]).toEqual([400, "malformed"]);
  });

  test("takes ids with commas where each has a parameter of its own", async () => {
    const [first, second] = [connected(cluster, "a,b"), connected(cluster, "c")];
    const { body } = await ask(cluster, "PUT /api/streams?ids=a%2Cb&ids=c", { init: { body: "x" } });
    expect(body).toMatchObject({ results: { "a,b": { delivered: true }, "c": { delivered: true } } });
    expect([first.sent.length, second.sent.length]).toEqual([1, 1]);
  });
});
