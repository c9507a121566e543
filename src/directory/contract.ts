/** What the directory tells and needs: the types that its users name. */
import type { ConnectionDetails } from "../connection/sink.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import type { Links } from "../link/contract.ts";
import type { LocalConnection } from "./local.ts";
import type { DirectoryOptions } from "./options.ts";
import type { QuestionCounters } from "./questions.ts";
import type { ReplicationCounters } from "./replication.ts";

/** The directory's port on the links. */
export const DIRECTORY_PORT = 1;

/** Where a connection is, as this node knows. */
export interface Route {
  readonly nodeId: string;
  /**
   * Names the connection at its owner, in this run of it; travels in frames instead of the id. Below 2^47.
   */
  readonly handle: number;
  /** Hybrid logical time of the registration; of two claims the later one counts. */
  readonly stamp: number;
  /** The connection is this node's own. */
  readonly local: boolean;
}

/** A connection's owner and what it keeps about it. */
export interface Description {
  readonly nodeId: string;
  readonly details: ConnectionDetails;
}

export interface DirectoryContext {
  readonly links: Pick<Links, "nodeId" | "register">;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly options?: Partial<DirectoryOptions>;
  /**
   * A later claim of another node beat this node's own connection; its entry is gone. Whoever holds the
   * socket closes it with 4409. Called while a frame is applied, or in a later turn.
   */
  readonly onLost?: (connection: LocalConnection) => void;
}

/** Monotonic counters since start. `repairs` also has what `verify` set right. */
export interface DirectoryStats extends ReplicationCounters, QuestionCounters {
  /** Own connections lost to a later claim of another node. */
  lost: number;
}
