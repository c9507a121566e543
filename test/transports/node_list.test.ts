import { describe, expect, test } from "bun:test";
import { FlotillaError } from "../../src/lib/errors.ts";
import { isLoopbackUrl, parseNodeList } from "../../transports/node_list.ts";

const parse = (...entries: string[]) => parseNodeList(entries, { self: "me", addressRequired: true });

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof FlotillaError && thrown.code === "invalid-option") return thrown.message;
  }
  return "accepted";
}

describe("parseNodeList", () => {
  test.each([
    ["ws://host:7001/b", { nodeId: "b", url: "ws://host:7001" }],
    ["wss://host:7001/b", { nodeId: "b", url: "wss://host:7001" }],
    ["ws://host:7001", { url: "ws://host:7001" }],
    ["ws://host:7001/", { url: "ws://host:7001" }],
    ["WS://Host:80/b", { nodeId: "b", url: "ws://host" }],
    ["wss://host", { url: "wss://host" }],
    ["b@host:7001", { nodeId: "b", url: "ws://host:7001" }],
    ["b@c@host:7001", { nodeId: "b@c", url: "ws://host:7001" }],
    ["ws://[::1]:7001/b", { nodeId: "b", url: "ws://[::1]:7001" }],
    ["b@[fe80::1]:7001", { nodeId: "b", url: "ws://[fe80::1]:7001" }],
    ["ws://host:7001/n%C3%B6de%20one", { nodeId: "nöde one", url: "ws://host:7001" }],
    ["  b@host:7001 ", { nodeId: "b", url: "ws://host:7001" }],
  ])("reads %s", (entry, address) => {
    expect(parse(entry)).toEqual([address]);
  });

  test("reads a bare id where the transport needs no address", () => {
    const entries = ["b", "c@host:1", "b", "c"];
    expect(parseNodeList(entries, { self: "me", addressRequired: false })).toEqual([
      { nodeId: "b" },
      { nodeId: "c", url: "ws://host:1" },
    ]);
  });

  test("refuses a bare id where the transport dials, saying that it needs an address", () => {
    expect(refusal(() => parse("b"))).toContain('"b": this transport dials, so the node needs an address');
  });

  test("skips this node itself, in every form", () => {
    expect(parse("ws://host:1/me", "me@host:1", "me", "ws://host:2/b")).toEqual([{
      nodeId: "b",
      url: "ws://host:2",
    }]);
  });

  test("merges entries of one address, and keeps two addresses of one node", () => {
    expect(parse("ws://h:1", "b@h:1", "ws://h:1/b", "ws://h:2/b")).toEqual([
      { nodeId: "b", url: "ws://h:1" },
      { nodeId: "b", url: "ws://h:2" },
    ]);
  });

  test.each([
    [""],
    ["http://host:1/b"],
    ["ws://"],
    ["ws://host:99999/b"],
    ["ws://user:pw@host:1/b"],
    ["ws://host:1/b/c"],
    ["ws://host:1/b?x=1"],
    ["ws://host:1/b#x"],
    ["ws://host:1/%zz"],
    ["ws://host:1/a%00b"],
    [`ws://host:1/${"x".repeat(129)}`],
    ["@host:1"],
    ["b@"],
    ["b@host:port"],
    ["b@host:1/path"],
  ])("refuses %s, naming it", (entry) => {
    const message = refusal(() => parse(entry));
    expect(message).toContain("nodes: entry ");
    expect(message).toContain(JSON.stringify(entry).slice(0, 70));
  });

  test("refuses one address listed for two nodes", () => {
    expect(refusal(() => parse("b@h:1", "c@h:1"))).toContain('the same address is listed for "b"');
  });

  test("knows the addresses that stay on this machine", () => {
    const urls = [
      "ws://localhost:1",
      "ws://127.8.9.1:1",
      "wss://[::1]:1",
      "ws://10.0.0.1:1",
      "ws://127.0.0.1.example",
    ];
    expect(urls.map(isLoopbackUrl)).toEqual([true, true, true, false, false]);
  });
});
