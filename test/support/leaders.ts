/** The history of leaders in virtual time. */
import type { SimRaft, SimRaftNode } from "./sim_raft.ts";

const EVERY_MS = 5;

export class Leaders {
  /** Who led, by term. */
  readonly byTerm: Map<number, string> = new Map();
  /** Two that led one term, as a sentence; the first such. */
  fault: string | undefined;

  /** Watches from now on. */
  constructor(sim: SimRaft, nodes: readonly SimRaftNode[]) {
    const look = (): void => {
      for (const { nodeId, runs, raft } of nodes.filter((node) => node.runs)) {
        if (!runs || !raft.isLeader) continue;
        const other = this.byTerm.get(raft.term) ?? nodeId;
        if (other !== nodeId) this.fault ??= `${other} and ${nodeId} both led term ${raft.term}`;
        this.byTerm.set(raft.term, nodeId);
      }
      sim.clock.timer(EVERY_MS, look);
    };
    look();
  }
}

/** What becomes of a write at `node`: `written`, or the code of its error. */
export async function written(
  sim: SimRaft,
  node: SimRaftNode,
  timeoutMs = 2_000,
  key = "k",
): Promise<string> {
  return await sim.settle(
    node.map.set(key, node.nodeId, { timeoutMs }).then(() => "written", (error) => error.code),
  );
}
