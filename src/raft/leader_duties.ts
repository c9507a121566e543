/** What a leader does besides replicating: it looks after members and leases, and makes way for a better leader. */
import type { Clock } from "../lib/clock.ts";
import { NO_ID } from "./core/types.ts";
import { LeaseKeeper } from "./lease_keeper.ts";
import type { RaftMember } from "./member.ts";
import type { PeerTable } from "./peer_table.ts";
import { Handover } from "./score.ts";
import { type Command, encodeEnvelope } from "./state/commands.ts";
import { type Errands, errandsOf, type PresentNode, type Retirement } from "./steward.ts";

export interface LeaderDutiesContext {
  readonly clock: Clock;
  readonly peers: PeerTable;
  readonly voterReplaceAfterMs: number;
  /** Nodes with a live session that have said who they are, and this one. */
  present(): ReadonlyMap<string, PresentNode>;
  score(): number;
  welcome(nodeId: string): void;
  retire(retirement: Retirement): void;
}

export class LeaderDuties {
  readonly #context: LeaderDutiesContext;
  readonly #leases = new LeaseKeeper();
  readonly #handover = new Handover();
  /** The last entry that was proposed here; nothing more is before it is applied. */
  #lastIndex = 0;

  constructor(context: LeaderDutiesContext) {
    this.#context = context;
  }

  /** Another node leads, or this one begins to. */
  reset(): void {
    this.#leases.reset();
    this.#handover.reset();
    this.#lastIndex = 0;
  }

  /** To be called every 100 ms or so while `member` leads. */
  attend(member: RaftMember): void {
    const { raw, state } = member;
    const status = raw.status();
    // Only with everything of former leaders applied does it know who the members are.
    if (raw.termAt(status.applied) !== status.term || status.applied < this.#lastIndex) return;
    const errands = this.#errands(member);
    for (const nodeId of errands.welcome) this.#context.welcome(nodeId);
    for (const retirement of errands.retire) this.#context.retire(retirement);
    const commands: Command[] = [...errands.commands];
    for (const { name, token, renewedAt } of this.#leases.over(state, this.#context.clock.now())) {
      commands.push({ kind: "expire-lease", name, token, renewedAt });
    }
    if (commands.length > 0) {
      member.propose(
        commands.map((command) => encodeEnvelope({ session: 0, sequence: 0, doneBelow: 0, command })),
      );
    }
    if (errands.change !== undefined) member.proposeChange(errands.change);
    if (commands.length > 0 || errands.change !== undefined) this.#lastIndex = raw.status().lastIndex;
    else this.#considerHandover(member);
  }

  #errands(member: RaftMember): Errands {
    const { peers, voterReplaceAfterMs } = this.#context;
    const { state } = member;
    const { configuration, commit } = member.raw.status();
    return errandsOf({
      clusterId: state.clusterId,
      lineage: state.lineage,
      configuration,
      records: new Map([...state.members()].map((record) => [record.raftId, record])),
      isForgotten: (raftId) => state.isForgotten(raftId),
      present: this.#context.present(),
      commit,
      match: (raftId) => member.matchOf(raftId),
      awayMs: (nodeId) => peers.awayMs(nodeId),
      voterReplaceAfterMs,
    });
  }

  /** Of two that keep state and vote, the better placed leads. */
  #considerHandover(member: RaftMember): void {
    const { clock, peers, score } = this.#context;
    const others = member.keepers.filter((raftId) => raftId !== member.raftId);
    const [raftId = NO_ID] = others, identity = peers.byRaftId(raftId)?.identity;
    if (others.length !== 1 || identity === undefined) return this.#handover.reset();
    if (!this.#handover.isDue(score(), identity.score, clock.now())) return;
    this.#handover.reset();
    member.raw.transferLeader(raftId);
  }
}
