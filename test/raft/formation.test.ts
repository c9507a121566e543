import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../src/lib/random.ts";
import type { Session } from "../../src/link/contract.ts";
import {
  judgeMember,
  type MemberScene,
  objectionTo,
  type Plan,
  type Verdict,
} from "../../src/raft/formation.ts";
import { Former } from "../../src/raft/former.ts";
import type { RaftFrame } from "../../src/raft/frames.ts";
import type { Identity } from "../../src/raft/identity.ts";
import { PeerTable } from "../../src/raft/peer_table.ts";
import { SimClock } from "../support/sim_clock.ts";

const OURS = "00000000000000aa", OTHER = "00000000000000bb";

function identity(raftId: number, clusterId: string | null, lastIndex = 10): Identity {
  return {
    raftId,
    clusterId,
    lineage: [],
    lastTerm: clusterId === null ? 0 : 2,
    lastIndex: clusterId === null ? 0 : lastIndex,
    members: clusterId === null ? 0 : 3,
    hasData: false,
    led: false,
    out: false,
    witness: false,
    expects: { kind: "list", nodeIds: ["a", "b", "c"], unresolved: [] },
    score: 100,
  };
}

interface SceneOf {
  readonly nodeId: string;
  readonly own: Identity;
  readonly peers: Record<string, Identity>;
  readonly incoming: readonly number[];
  readonly outgoing?: readonly number[];
  readonly learners?: readonly number[];
  readonly nodes: Record<number, string>;
}

function scene({ nodeId, own, peers, incoming, outgoing = [], learners = [], nodes }: SceneOf): MemberScene {
  return {
    nodeId,
    own,
    peers: new Map(Object.entries(peers)),
    voters: { incoming: new Set(incoming), outgoing: new Set(outgoing) },
    members: new Set([...incoming, ...outgoing, ...learners]),
    nodeOf: (raftId) => nodes[raftId],
  };
}

function membersOf(verdict: Verdict): [string, number][] | string {
  return verdict.kind === "form"
    ? verdict.members.map(({ nodeId, raftId }) => [nodeId, raftId])
    : verdict.kind;
}

describe("when a quorum is gone", () => {
  test("in the middle of a change of the members, what the outgoing ones need counts, too", () => {
    // a was replaced, 1 by 4, and b lost everything before the change was over: of 1, 2 and 3 only 3 is left.
    const nodes = { 1: "a", 2: "b", 3: "c", 4: "a" };
    const peers = { a: identity(4, OURS, 9), b: identity(5, null) };
    const joint = { incoming: [4, 2, 3], outgoing: [1, 2, 3], nodes };
    expect(membersOf(judgeMember(scene({ nodeId: "c", own: identity(3, OURS), peers, ...joint })))).toEqual([
      ["a", 4],
      ["b", 5],
      ["c", 3],
    ]);
  });

  test("a disk that moved to another node is not lost", () => {
    const nodes = { 1: "a", 2: "b", 3: "c" };
    const peers = { a: identity(2, OURS), b: identity(1, OURS) };
    const own = identity(3, OURS);
    expect(membersOf(judgeMember(scene({ nodeId: "c", own, peers, incoming: [1, 2, 3], nodes })))).toBe(
      "run",
    );
  });

  test("a node that lacks the latest changes of the members takes nobody for lost whom it does not know", () => {
    const nodes = { 1: "a", 2: "b", 3: "c" };
    const peers = { a: identity(4, OURS), b: identity(5, OURS) };
    const own = identity(3, OURS);
    expect(membersOf(judgeMember(scene({ nodeId: "c", own, peers, incoming: [1, 2, 3], nodes })))).toBe(
      "run",
    );
  });

  test("a learner with the longest log coordinates", () => {
    const nodes = { 1: "a", 2: "b", 3: "c", 4: "d" };
    const all = {
      a: identity(5, null),
      b: identity(6, null),
      c: identity(3, OURS, 10),
      d: identity(4, OURS, 12),
    };
    const { c, d, ...gone } = all;
    const rest = { incoming: [1, 2, 3], learners: [4], nodes };
    const atVoter = judgeMember(scene({ nodeId: "c", own: c, peers: { ...gone, d }, ...rest }));
    expect(atVoter.kind === "wait" && atVoter.reason).toContain("waiting for d, which has the longest log");
    const atLearner = judgeMember(scene({ nodeId: "d", own: d, peers: { ...gone, c }, ...rest }));
    expect(membersOf(atLearner)).toEqual([["a", 5], ["b", 6], ["c", 3], ["d", 4]]);
  });

  test("nobody agrees to begin again from less than a node that is there has", () => {
    const members = [["a", 5], ["b", 6], ["c", 3]] as const;
    const plan: Plan = {
      clusterId: OTHER,
      from: OURS,
      base: { term: 2, index: 10 },
      members: members.map(([nodeId, raftId]) => ({ nodeId, raftId, witness: false, voter: true })),
    };
    const peers = new Map([["c", identity(3, OURS, 10)], ["d", identity(4, OURS, 12)]]);
    const newcomer = { nodeId: "a", own: identity(5, null), peers };
    expect(objectionTo(plan, "c", newcomer)).toBe("d has a longer log");
    peers.delete("d");
    expect(objectionTo(plan, "c", newcomer)).toBeUndefined();
  });
});

describe("a formation", () => {
  const members = ["a", "b", "c"].map((nodeId, at) => ({
    nodeId,
    raftId: at + 1,
    witness: false,
    voter: true,
  }));
  const verdict: Verdict = { kind: "form", members };
  const peers = new Map([["b", identity(2, null)], ["c", identity(3, null)]]);

  function former(keeps = true): { former: Former; sent: string[]; plans: Plan[] } {
    const sent: string[] = [], plans: Plan[] = [];
    const send = (nodeId: string, frame: RaftFrame): void => {
      sent.push(`${frame.kind} ${nodeId}`);
      if (frame.kind === "propose") plans.push(frame.plan);
    };
    const made = new Former({
      nodeId: "a",
      random: seededRandom(1),
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      scene: () => ({ nodeId: "a", own: identity(1, null), peers }),
      send,
      form: () => keeps,
    });
    return { former: made, sent, plans };
  }

  test("is withdrawn when its coordinator becomes a member of another cluster", () => {
    const { former: one, sent } = former();
    one.follow(verdict);
    one.reset();
    expect(sent).toEqual(["propose b", "propose c", "withdraw b", "withdraw c"]);
  });

  test("is withdrawn when its coordinator cannot keep what all agreed to", () => {
    const { former: one, sent, plans } = former(false);
    one.follow(verdict);
    for (const nodeId of ["b", "c"]) one.agreed(nodeId, plans[0]?.clusterId ?? "");
    expect(sent.slice(2)).toEqual(["withdraw b", "withdraw c"]);
  });

  test("binds: who proposes one or agreed to one agrees to no other", () => {
    const { former: one, sent, plans } = former();
    one.follow(verdict);
    const [plan] = plans as [Plan];
    const others = { ...plan, clusterId: OTHER };
    one.asked("b", others);
    expect(sent).not.toContain("agree b");
    one.reset();
    one.asked("b", others);
    expect(sent.at(-1)).toBe("agree b");
    one.asked("c", plan);
    expect(sent).not.toContain("agree c");
    one.follow(verdict);
    expect(sent.at(-1)).toBe("agree b");
    one.withdrawn("b", OTHER);
    one.asked("c", plan);
    expect(sent.at(-1)).toBe("agree c");
  });

  test("that not all agree to gives everybody free for a while, and is tried again", () => {
    const { former: one, sent, plans } = former();
    for (let round = 0; round < 40; round++) {
      one.follow(verdict);
      one.remind();
    }
    const clusters = new Set(plans.map(({ clusterId }) => clusterId));
    expect(clusters.size).toBeGreaterThan(2);
    expect(sent.filter((line) => line === "withdraw b").length).toBeGreaterThanOrEqual(clusters.size - 1);
  });
});

test("a disk that moves from one node to another is found where it was announced last", () => {
  const table = new PeerTable(new SimClock());
  const session = (nodeId: string): Session => ({
    nodeId,
    incarnation: "0000000000000001",
    live: true,
    send: () => "sent",
    datagram: () => true,
    pendingBytes: () => 0,
  });
  const [before, after] = [session("b"), session("a")];
  table.up(before);
  table.identified(before, identity(2, OURS));
  table.up(after);
  table.identified(after, identity(2, OURS));
  expect(table.down(before)).toBe(2);
  expect(table.byRaftId(2)?.session.nodeId).toBe("a");
});
