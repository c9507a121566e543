/** Messages over HTTP: the body as one message to one connection, or to many. */
import { beforeEach, describe, expect, test } from "bun:test";
import { FakeCluster } from "../support/fake_cluster.ts";
import { ask, connected, errorOf, OUTCOME_STATUSES } from "./api_fixture.ts";

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
});

describe("POST /api/messages/:id", () => {
  test.each([
    ["text/plain", "text"],
    ["text/plain;charset=UTF-8", "text"],
    ["application/json", "text"],
    ["application/ld+json; charset=utf-8", "text"],
    ["application/octet-stream", "binary"],
    ["application/jsonish", "binary"],
    ["", "binary"],
  ])("a body of '%s' is %s", async (contentType, kind) => {
    const sink = connected(cluster, "alice");
    const body = new TextEncoder().encode('{"ä":1}');
    const { status, body: answer } = await ask(cluster, "POST /api/messages/alice", {
      init: { body },
      headers: { "content-type": contentType },
    });
    expect([status, answer]).toEqual([200, { delivered: true, outcome: "delivered", nodeId: "fake" }]);
    expect(sink.sent).toEqual([kind === "text" ? '{"ä":1}' : body]);
  });

  test("an empty body is an empty message", async () => {
    const sink = connected(cluster, "alice");
    expect((await ask(cluster, "POST /api/messages/alice")).status).toBe(200);
    expect(sink.sent).toEqual([new Uint8Array(0)]);
  });

  test.each(OUTCOME_STATUSES)("the outcome %s is %i", async (outcome, expected) => {
    cluster.outcomes.set("alice", outcome);
    const { status, body } = await ask(cluster, "POST /api/messages/alice", { init: { body: "x" } });
    expect(status).toBe(expected);
    expect(body).toEqual({ delivered: expected === 200, outcome, nodeId: null });
  });

  test("a body over messageBytesMax is 413, by its declared length and by what comes", async () => {
    const tooLong = new Uint8Array(cluster.messageBytesMax + 1);
    const declared = await ask(cluster, "POST /api/messages/alice", {
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
    const streamed = await ask(cluster, "POST /api/messages/alice", { init });
    expect([streamed.status, errorOf(streamed.body)]).toEqual([413, "too-large"]);
    expect(pulled).toBeLessThan(12);
    expect(cluster.delivered).toEqual([]);
  });

  test("text that is not UTF-8 is 400", async () => {
    const { status, body } = await ask(cluster, "POST /api/messages/alice", {
      init: { body: new Uint8Array([0xff]) },
      headers: { "content-type": "text/plain" },
    });
    expect([status, errorOf(body)]).toEqual([400, "malformed"]);
  });

  test.each(["%00", "x".repeat(257), "%C3%A4".repeat(129)])("the id %s is 400", async (id) => {
    const { status, body } = await ask(cluster, `POST /api/messages/${id}`, { init: { body: "x" } });
    expect([status, errorOf(body)]).toEqual([400, "malformed"]);
  });
});

describe("POST /api/messages", () => {
  const batch = (body: unknown): Promise<{ status: number; body: unknown }> =>
    ask(cluster, "POST /api/messages", { init: { body: JSON.stringify(body) } });

  test("delivers one text to many, each id once, and names each outcome", async () => {
    const alice = connected(cluster, "alice");
    connected(cluster, "__proto__");
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
    const alice = connected(cluster, "alice");
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
    expect((await ask(cluster, "POST /api/messages", { init: { body: "{" } })).status).toBe(400);
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
