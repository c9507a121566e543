/** What a peer that knows the secret says, and should not: it costs its session, never a node or its disk. */
import { describe, expect, test } from "bun:test";
import { type Bytes, concatBytes, unhex, utf8 } from "../../../src/lib/bytes.ts";
import { encodeCbor } from "../../../src/lib/cbor.ts";
import { CONTROL, type Lane, STREAMS } from "../../../src/link/contract.ts";
import type { Message, Snapshot } from "../../../src/raft/core/types.ts";
import { encodeFrame, type RaftFrame } from "../../../src/raft/frames.ts";
import { encodeMessage, encodeSnapshot } from "../../../src/raft/message_codec.ts";
import { RAFT_PORT } from "../../../src/raft/raft_port.ts";
import { ReplicatedState } from "../../../src/raft/state/replicated_state.ts";
import { SimRaft, type SimRaftNode } from "../../support/sim_raft.ts";

type Three = [SimRaftNode, SimRaftNode, SimRaftNode];

const WELCOME = 4;

function say(from: SimRaftNode, to: SimRaftNode, bytes: Bytes, lane: Lane = CONTROL): void {
  from.links.session(to.nodeId)?.send(lane, RAFT_PORT, bytes);
}

function stateOf(clusterId: string): Bytes {
  return ReplicatedState.begin({ clusterId, lineage: [], tokenFloor: 0, members: [] }).snapshot();
}

function snapshotFor(voters: number[], data: Bytes, index = 1): Snapshot {
  const confState = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  return { index, term: 1, confState, data };
}

async function served(seed: number): Promise<[SimRaft, SimRaftNode, SimRaftNode, SimRaftNode]> {
  const sim = new SimRaft(seed);
  const [a, b, c] = await sim.listed(["a", "b", "c"], { disk: true }) as Three;
  await sim.led();
  await sim.settle(a.map.set("k", "v"));
  return [sim, a, b, c];
}

/** All nodes take part still, under the raftIds they had, and so they do after a restart of `node`. */
async function demandUnharmed(sim: SimRaft, node: SimRaftNode, raftIds: readonly number[]): Promise<void> {
  await sim.clock.advance(2_000);
  await sim.led();
  await sim.settle(node.map.set("k", "again"));
  await node.kill();
  await node.start();
  await sim.led();
  expect(sim.nodes.map(({ raftId }) => raftId)).toEqual([...raftIds]);
  await sim.stop();
}

describe("a hostile peer", () => {
  test("cannot talk a member out of its cluster with what it knows better", async () => {
    const [sim, a, b, c] = await served(71);
    const raftIds = sim.nodes.map(({ raftId }) => raftId);
    const clusterId = c.clusterId ?? "";
    for (const again of [true, false]) {
      for (const raftId of [c.raftId, b.raftId]) {
        // As an old leader would that does not know of c yet.
        say(a, c, encodeFrame({ kind: "retire", clusterId, lineage: [], raftId, index: 1, again }));
      }
    }
    await demandUnharmed(sim, c, raftIds);
  });

  test("does no harm with a leader's snapshot that is none", async () => {
    const [sim, , , c] = await served(72);
    const leader = await sim.led();
    const target = leader === c ? sim.nodes[0] as SimRaftNode : c;
    const raftIds = sim.nodes.map(({ raftId }) => raftId);
    const clusterId = target.clusterId ?? "";
    for (const data of [utf8("garbage"), stateOf("00000000000000ff")]) {
      const message: Message = {
        type: "snapshot",
        from: leader.raftId,
        to: target.raftId,
        term: leader.raft.term,
        snapshot: snapshotFor([...raftIds], data, 1_000),
      };
      const frame: RaftFrame = { kind: "message", clusterId, message: encodeMessage(message) };
      say(leader, target, encodeFrame(frame), STREAMS);
      await sim.clock.advance(1_000);
    }
    expect(target.raft.view().reason ?? "").not.toContain("storage failed");
    await demandUnharmed(sim, target, raftIds);
  });

  test("cannot speak for another member", async () => {
    const [sim, a, b, c] = await served(73);
    const { term } = await sim.led().then(({ raft }) => raft);
    const message: Message = {
      type: "heartbeat",
      from: a.raftId,
      to: c.raftId,
      term: term + 9,
      commit: 0,
      round: 1,
    };
    b.links.session("c")?.datagram(RAFT_PORT, concatBytes(unhex(c.clusterId ?? ""), encodeMessage(message)));
    await sim.clock.advance(50);
    expect(c.raft.term).toBe(term);
    await sim.led();
    await sim.stop();
  });

  test("cannot make a newcomer begin from what nobody can begin from", async () => {
    const sim = new SimRaft(74);
    const a = await sim.node("a", { nodes: ["b", "c"], disk: true });
    const b = await sim.node("b", { nodes: ["a", "c"], disk: true });
    await sim.clock.advance(1_000);
    const clusterId = "00000000000000ee", { raftId } = b;
    const state = stateOf(clusterId);
    const welcomes: [string, Bytes][] = [
      ["zzzzzzzzzzzzzzzz", encodeSnapshot(snapshotFor([raftId], stateOf("zzzzzzzzzzzzzzzz")))],
      [clusterId, utf8("garbage")],
      [clusterId, encodeSnapshot(snapshotFor([raftId], utf8("garbage")))],
      [clusterId, encodeSnapshot(snapshotFor([raftId], stateOf("00000000000000dd")))],
      [clusterId, encodeSnapshot(snapshotFor([raftId === 7 ? 8 : 7], state))],
      [clusterId, encodeSnapshot(snapshotFor([raftId], state, 0))],
      [clusterId, encodeSnapshot({ ...snapshotFor([raftId], state), term: 0 })],
    ];
    for (const [id, snapshot] of welcomes) {
      say(a, b, concatBytes(Uint8Array.of(WELCOME), encodeCbor([id, [], snapshot])), STREAMS);
      await sim.clock.advance(1_000);
      expect([b.clusterId, b.raftId]).toEqual([undefined, raftId]);
    }
    await sim.node("c", { nodes: ["a", "b"], disk: true });
    await sim.led(sim.nodes, 60_000);
    await sim.stop();
  });
});
