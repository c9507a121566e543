import { describe, expect, test } from "bun:test";
import { FlotillaError } from "../../src/lib/errors.ts";
import { decodeHello, encodeHello, type Hello, HELLO_LENGTH_MAX } from "../../transports/ws_hello.ts";

const hello: Hello = {
  nodeId: "a",
  instance: "0011223344556677",
  url: "ws://a:7001",
  peers: [["b", "wss://b"]],
};

function refusal(text: string): string {
  try {
    decodeHello(text);
  } catch (thrown) {
    return thrown instanceof FlotillaError ? thrown.code : String(thrown);
  }
  return "accepted";
}

describe("A hello", () => {
  test("comes out as it went in", () => {
    expect(decodeHello(encodeHello(hello))).toEqual(hello);
    const { url: _url, ...bare } = { ...hello, peers: [] };
    expect(decodeHello(encodeHello(bare))).toEqual(bare);
  });

  test("leaves peers out rather than be longer than a receiver takes", () => {
    const peers = Array.from(
      { length: 1_000 },
      (_, index) => ["n".repeat(100), `ws://${"h".repeat(200)}${index}`] as const,
    );
    const text = encodeHello({ ...hello, peers });
    expect(text.length).toBeLessThan(HELLO_LENGTH_MAX);
    expect(decodeHello(text).peers.length).toBeGreaterThan(150);
  });

  const valid = { flotilla: 1, ...hello };
  test.each([
    ["no JSON", "{"],
    ["an empty text", ""],
    ["a number", "1"],
    ["null", "null"],
    ["an array", "[]"],
    ["another format", JSON.stringify({ ...valid, flotilla: 2 })],
    ["no nodeId", JSON.stringify({ ...valid, nodeId: undefined })],
    ["an empty nodeId", JSON.stringify({ ...valid, nodeId: "" })],
    ["a nodeId of 129 bytes", JSON.stringify({ ...valid, nodeId: "ö".repeat(64) + "x" })],
    ["a control character in the nodeId", JSON.stringify({ ...valid, nodeId: "a\nb" })],
    ["half a surrogate pair in the nodeId", JSON.stringify({ ...valid, nodeId: "a\ud800" })],
    ["a nodeId that cannot be shown", '{"flotilla":1,"nodeId":{"toString":1,"valueOf":2}}'],
    ["a short instance", JSON.stringify({ ...valid, instance: "00" })],
    ["an address of another scheme", JSON.stringify({ ...valid, url: "http://a" })],
    ["an address that is no text", JSON.stringify({ ...valid, url: 5 })],
    ["a long address", JSON.stringify({ ...valid, url: `ws://${"a".repeat(260)}` })],
    ["peers that are no list", JSON.stringify({ ...valid, peers: { length: 1 } })],
    ["a peer that is no pair", JSON.stringify({ ...valid, peers: [["b"]] })],
    ["a peer without a usable id", JSON.stringify({ ...valid, peers: [["", "ws://b"]] })],
    [
      "too many peers",
      JSON.stringify({ ...valid, peers: Array.from({ length: 257 }, () => ["b", "ws://b"]) }),
    ],
    ["a text over the limit", JSON.stringify({ ...valid, padding: "x".repeat(HELLO_LENGTH_MAX) })],
  ])("is refused as malformed with %s", (_what, text) => {
    expect(refusal(text)).toBe("malformed");
  });

  test("keeps of an address only where it leads", () => {
    const text = JSON.stringify({ ...valid, url: "ws://HOST:80/some/path?x=1" });
    expect(decodeHello(text).url).toBe("ws://host");
  });
});
