import { describe, expect, test } from "bun:test";
import { ConnectionHealth } from "../../src/cluster/health.ts";
import { Outboxes } from "../../src/connection/outboxes.ts";
import { type LocalConnection, LocalConnections } from "../../src/directory/local.ts";
import { FakeSink } from "../support/fake_sink.ts";
import { SimClock } from "../support/sim_clock.ts";

const DETAILS = { endpoint: "/ws", remoteAddress: null, connectedAt: 0, ownId: false, tags: {} };

/** A node's own connections, with sockets or without. */
function node() {
  const clock = new SimClock();
  const outboxes = new Outboxes(clock);
  const byHandle = new LocalConnections();
  const byId = new Map<string, LocalConnection>();
  const gone: string[] = [];
  const health = new ConnectionHealth({
    directory: {
      verify: () => 0,
      localConnections: () => byHandle.values(),
      localConnection: (connectionId) => byId.get(connectionId),
    },
    outboxes,
    gone(connectionId) {
      gone.push(connectionId);
      byHandle.delete(byId.get(connectionId)?.handle ?? 0);
      byId.delete(connectionId);
    },
  });
  return {
    health,
    outboxes,
    gone,
    announce: (connectionId: string) => byId.set(connectionId, byHandle.add(connectionId, DETAILS)),
    open: (connectionId: string) => outboxes.open(connectionId, new FakeSink(clock)),
    repair: () => health.repair(undefined, new Set()),
  };
}

describe("ConnectionHealth", () => {
  test("finds nothing where entries and sockets agree", () => {
    const { announce, open, repair, gone } = node();
    for (const id of ["a", "b"]) {
      announce(id);
      open(id);
    }
    expect([repair(), repair()]).toEqual([0, 0]);
    expect(gone).toEqual([]);
  });

  test("lets entries without a socket and sockets without an entry go", () => {
    const { announce, open, repair, gone, outboxes } = node();
    announce("entry alone");
    open("socket alone");
    expect(repair()).toBe(2);
    expect(gone).toEqual(["entry alone", "socket alone"]);
    expect(outboxes.size).toBe(0);
    expect(repair()).toBe(0);
  });

  test("sees to very many connections in several calls, and misses none", () => {
    const { announce, open, repair, gone } = node();
    const lone = 3;
    for (let count = 0; count < 40_000; count++) {
      announce(`connection-${count}`);
      if (count % 20_000 !== lone) open(`connection-${count}`);
    }
    const found: number[] = [];
    while (gone.length < 2) found.push(repair());
    expect(gone).toEqual([`connection-${lone}`, `connection-${20_000 + lone}`]);
    expect(found.length).toBeGreaterThan(1);
    expect(found.reduce((sum, each) => sum + each)).toBe(2);
  });

  test("goes on while connections come and go between its calls", () => {
    const { announce, open, repair, gone, outboxes } = node();
    for (let count = 0; count < 20_000; count++) {
      announce(`connection-${count}`);
      open(`connection-${count}`);
    }
    repair();
    outboxes.remove("connection-19999");
    announce("late");
    while (gone.length < 2) repair();
    expect(gone).toEqual(["connection-19999", "late"]);
  });
});
