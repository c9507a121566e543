import { describe, expect, test } from "bun:test";
import { createCluster } from "../../src/create.ts";
import { type ClusterOptions, resolveOptions } from "../../src/cluster/options.ts";
import { FlotillaError } from "../../src/lib/errors.ts";

/** The error that `make` throws. */
function thrownBy(make: () => unknown): FlotillaError {
  try {
    make();
  } catch (thrown) {
    if (thrown instanceof FlotillaError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

describe("the options of a cluster", () => {
  test("have the documented defaults, and cannot be changed afterwards", () => {
    const resolved = resolveOptions({ nodeId: "a" });
    expect(resolved).toMatchObject({
      nodeId: "a",
      transportType: "ws",
      channelName: "/cluster",
      nodes: [],
      allowInsecure: false,
      healthCheckIntervalMs: 5_000,
      pingIntervalMs: 1_000,
      peerTimeoutMs: 5_000,
      deliveryTimeoutMs: 5_000,
      messageBytesMax: 16_777_216,
      unknownConnection: "ask",
      slowConsumer: "close",
    });
    expect(Object.isFrozen(resolved)).toBe(true);
  });

  test("that are undefined are not there", () => {
    const given: Record<string, unknown> = { nodeId: "a", secret: undefined, peerTimeoutMs: undefined };
    expect(resolveOptions(given as unknown as ClusterOptions)).toMatchObject({ peerTimeoutMs: 5_000 });
  });

  test.each(["example.com", "10.0.0.1", "::1", "[::1]", "my_node"])("take the address %s", (nodeAddress) => {
    expect(resolveOptions({ nodeId: "a", nodeAddress }).nodeAddress).toBe(nodeAddress);
  });

  test("that are no object are refused", () => {
    for (const given of [null, "a", undefined]) {
      expect(() => resolveOptions(given as unknown as ClusterOptions)).toThrow(
        "the options must be an object",
      );
    }
  });

  const wrong: [string, unknown][] = [
    ["nodeId", ""],
    ["nodeId", undefined],
    ["nodeId", "x".repeat(129)],
    ["nodeAddress", ""],
    ["nodeAddress", "bad host"],
    ["nodeAddress", "host/"],
    ["nodeAddress", "host:80"],
    ["nodePort", 65_536],
    ["transportType", "pigeon"],
    ["redisConnectionString", ""],
    ["channelName", "cluster"],
    ["nodes", "ws://127.0.0.1:1"],
    ["clusterName", ""],
    ["publicUrl", "http://example.com"],
    ["publicUrl", "ws://example.com/path"],
    ["publicUrl", "ws://user:password@example.com"],
    ["allowInsecure", "yes"],
    ["seal", "sometimes"],
    ["healthCheckIntervalMs", 0],
    ["pingIntervalMs", 1.5],
    ["peerTimeoutMs", 2_147_483_648],
    ["deliveryTimeoutMs", -1],
    ["messageBytesMax", 0],
    ["outboxBytesMax", Infinity],
    ["slowConsumer", "kill"],
    ["unknownConnection", "guess"],
    ["clockSkewMaxMs", -1],
    ["witness", "yes"],
    ["witness", "http://127.0.0.1:6379"],
    ["witness", 1],
    ["nodeId", "redis:witness"],
    ["logger", { info() {} }],
    ["clock", {}],
    ["random", 4],
  ];
  const cases = wrong.map(([name, value]) => [`${name} ${String(value)}`, name, value] as const);
  test.each(cases)("name what is wrong: %s", (_case, name, value) => {
    const error = thrownBy(() => resolveOptions({ nodeId: "a", [name]: value }));
    expect(error.code).toBe("invalid-option");
    expect(error.message).toContain(name);
  });

  test("of a name that does not exist are refused, and a secret is never shown", () => {
    const unknown: Record<string, unknown> = { nodeId: "a", peerTimeOutMs: 1 };
    expect(thrownBy(() => resolveOptions(unknown as unknown as ClusterOptions)).message).toContain(
      "peerTimeOutMs",
    );
    const hidden: Record<string, unknown> = { nodeId: "a", secret: 271_828 };
    expect(thrownBy(() => resolveOptions(hidden as unknown as ClusterOptions)).message).not.toContain(
      "271828",
    );
    const password = thrownBy(() => resolveOptions({ nodeId: "a", witness: "redis//:271828@host" }));
    expect(password.message).not.toContain("271828");
    const redis: Record<string, unknown> = { nodeId: "a", redisConnectionString: 271_828 };
    expect(thrownBy(() => resolveOptions(redis as unknown as ClusterOptions)).message).not.toContain(
      "271828",
    );
  });

  test("must fit each other: three pings within the peer timeout, and no open text between machines", () => {
    const tight = thrownBy(() =>
      resolveOptions({ nodeId: "a", pingIntervalMs: 1_000, peerTimeoutMs: 2_000 })
    );
    expect(tight.message).toContain("peerTimeoutMs 2000");
    expect(thrownBy(() => resolveOptions({ nodeId: "a", seal: "never" })).code).toBe("invalid-option");
    expect(resolveOptions({ nodeId: "a", seal: "never", allowInsecure: true }).seal).toBe("never");
  });

  test("take no longer list of nodes than a cluster has members", () => {
    const nodes = (length: number): string[] => Array.from({ length }, (_, at) => `ws://127.0.0.1:${at + 1}`);
    expect(thrownBy(() => resolveOptions({ nodeId: "a", nodes: nodes(256) })).message).toContain("nodes");
    expect(resolveOptions({ nodeId: "a", nodes: nodes(255) }).nodes).toHaveLength(255);
  });

  const redis = { nodeId: "a", transportType: "redis", secret: "s" } as const;
  test.each([
    ["no URL", {}, "redisConnectionString must be given"],
    [
      "another scheme",
      { redisConnectionString: "ftp://:271828@host" },
      "redisConnectionString must be redis://",
    ],
    ["no URL at all", { redisConnectionString: "271828" }, "redisConnectionString must be redis://"],
    ["no token", { redisConnectionString: "https://host" }, "needs the token"],
    ["a token in clear", { redisConnectionString: "http://:271828@host" }, "must be https://"],
    ["a path", { redisConnectionString: "https://:271828@host/path" }, "must not have a path"],
    ["no secret", { redisConnectionString: "redis://host", secret: undefined }, "needs a secret"],
    [
      "an address that is dialled",
      { redisConnectionString: "redis://host", nodes: ["ws://h:1"] },
      '"ws://h:1"',
    ],
  ])("for Redis are refused with %s, and show no password", (_what, options, named) => {
    const error = thrownBy(() => createCluster({ ...redis, ...options }));
    expect([error.code, error.message]).toEqual(["invalid-option", expect.stringContaining(named)]);
    expect(error.message).not.toContain("271828");
  });

  test("for Redis may name the nodes that are expected, and do without a secret where that is accepted", () => {
    const redisConnectionString = "redis://:p@127.0.0.1:1";
    expect(() => createCluster({ ...redis, redisConnectionString, nodes: ["a", "b", "c"] })).not.toThrow();
    expect(() => createCluster({ ...redis, redisConnectionString, secret: undefined, allowInsecure: true }))
      .not.toThrow();
  });

  test("with an entry of nodes that cannot be used name the entry", () => {
    const error = thrownBy(() => createCluster({ nodeId: "a", nodes: ["ws://127.0.0.1:1", "gopher://b"] }));
    expect(error.code).toBe("invalid-option");
    expect(error.message).toContain("gopher://b");
  });
});
