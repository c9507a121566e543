import type { Outboxes } from "../connection/outboxes.ts";
import type { Directory } from "../directory/directory.ts";
import type { Clock } from "../lib/clock.ts";
import type { Links } from "../link/contract.ts";
import type { RaftPart } from "../raft/part.ts";
import type { ClusterStreams } from "../stream/streams.ts";
import type { DrainProgress } from "./contract.ts";
import { Drain } from "./drain.ts";
import type { NodeStatuses } from "./node_status.ts";
import type { Overview } from "./overview.ts";

/** Of a node's parts, those that leaving has to do with. */
export interface LeavingParts {
  readonly links: Pick<Links, "nodeId" | "sessions">;
  readonly directory: Pick<Directory, "localConnections" | "lookup" | "countOf">;
  readonly outboxes: Outboxes;
  readonly raft?: RaftPart | undefined;
  readonly options: { readonly clock: Clock };
  readonly streams: ClusterStreams;
  readonly statuses: NodeStatuses;
  readonly overview: Overview;
  readonly progress: (progress: DrainProgress) => void;
}

/** The drain of a node, wired to its parts. */
export function drainOf(parts: LeavingParts): Drain {
  const { links, directory, outboxes, raft, streams, statuses, overview } = parts;
  const { nodeId } = links;
  return new Drain({
    nodeId,
    clock: parts.options.clock,
    announce: () => void (statuses.own = { ...statuses.own, draining: true }),
    sessions: () => links.sessions(),
    handOver: async (timeoutMs) => {
      if (raft?.isLeader === true) await raft.transferLeadership(undefined, { timeoutMs });
    },
    candidates: () => overview.candidates().filter((candidate) => candidate.nodeId !== nodeId),
    publicUrl: (id) => overview.describe(id).publicUrl,
    connections: () => directory.localConnections(),
    outbox: (connectionId) => outboxes.get(connectionId),
    isBusy: (connectionId) => streams.isBusy(connectionId),
    hasStreams: () => {
      const inFlight = streams.inFlight;
      return inFlight.calls + inFlight.streams > 0;
    },
    abortStreams: () => streams.stop(),
    nodeOf: (connectionId) => directory.lookup(connectionId)?.nodeId,
    countOf: (id) => directory.countOf(id),
    progress: parts.progress,
  });
}
