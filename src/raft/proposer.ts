/**
 * Brings commands into the log and their results back. Every run of a node is one session of the replicated
 * state: a command that is proposed again, because a message or a leader was lost, still takes effect once
 * (thesis, 6.3).
 */
import type { Bytes } from "../lib/bytes.ts";
import type { FlotillaError } from "../lib/errors.ts";
import { type Random, randomBelow } from "../lib/random.ts";
import type { StepResult } from "./core/types.ts";
import { type Command, encodeEnvelope } from "./state/commands.ts";
import type { Applied } from "./state/replicated_state.ts";
import type { Result } from "./state/results.ts";
import { type Wait, type WaitOptions, Waits, type WaitsHost } from "./waits.ts";

/**
 * From the oldest command of this node that waits for its result to the newest: the state takes none of one session
 * that is further behind.
 */
const OUTSTANDING_MAX = 4_096;
/** Payload of proposals that travel together, bytes. */
const BATCH_BYTES = 32_768;

interface Outstanding {
  readonly command: Command;
  readonly sequence: number;
  readonly wait: Wait<Result>;
  /** As it is proposed in `session`. */
  payload: Bytes;
  session: number;
  /** It may have reached a log. */
  proposed: boolean;
  /** In ms of the clock; -Infinity: as soon as may be. */
  proposedAt: number;
}

export interface ProposerHost extends WaitsHost {
  readonly random: Random;
  /** Proposes here or at the leader; undefined while this node is no member. */
  propose(payloads: readonly Bytes[]): StepResult | undefined;
  /** Has `flush` called at the end of this turn. */
  schedule(): void;
}

export class Proposer {
  readonly #host: ProposerHost;
  readonly #waits: Waits;
  /** By sequence, ascending. */
  readonly #outstanding = new Map<number, Outstanding>();
  #fresh: Outstanding[] = [];
  #session: number;
  #sessionState: "closed" | "opening" | "open" = "closed";
  #openedAt = -Infinity;
  #sequence = 0;

  constructor(host: ProposerHost) {
    this.#host = host;
    this.#waits = new Waits("propose", OUTSTANDING_MAX, host);
    this.#session = this.#newSession();
  }

  /**
   * Resolves with what the command did, once it is applied here. Rejects `timeout` and `aborted` (it may take effect
   * or not), `malformed`, `no-leader`, `backpressure`, `not-running` (it did and will not).
   */
  async run(command: Command, options: WaitOptions = {}): Promise<Result> {
    const sequence = this.#sequence + 1, session = this.#session;
    const payload = this.#encode(sequence, command);
    const [oldest = sequence] = this.#outstanding.keys();
    if (sequence - oldest >= OUTSTANDING_MAX) {
      throw this.#waits.error(
        "backpressure",
        `${command.kind}: ${OUTSTANDING_MAX} commands came after one that waits`,
      );
    }
    const wait = this.#waits.begin<Result>(options);
    this.#sequence = sequence;
    const outstanding: Outstanding = {
      command,
      sequence,
      wait,
      payload,
      session,
      proposed: false,
      proposedAt: -Infinity,
    };
    const { onEnd } = wait;
    wait.onEnd = () => {
      onEnd();
      this.#outstanding.delete(sequence);
    };
    wait.late = () => this.#unanswered(outstanding, "no answer in time");
    this.#outstanding.set(sequence, outstanding);
    this.#fresh.push(outstanding);
    this.#host.schedule();
    return await wait.promise;
  }

  /** Hands what is new to Raft. */
  flush(): void {
    if (this.#outstanding.size === 0) return;
    if (this.#sessionState !== "open") return this.#open(-Infinity);
    if (this.#fresh.length === 0) return;
    const fresh = this.#fresh.filter(({ wait }) => wait.open);
    this.#fresh = [];
    this.#propose(fresh);
  }

  /** There is another leader: what is under way may be lost with the former one. */
  leaderChanged(): void {
    for (const outstanding of this.#outstanding.values()) outstanding.proposedAt = -Infinity;
    this.#openedAt = -Infinity;
    this.retry(0);
  }

  /** Proposes again what has had no answer for `afterMs`. */
  retry(afterMs: number): void {
    if (this.#outstanding.size === 0) return;
    const before = this.#host.clock.now() - afterMs;
    if (this.#sessionState !== "open") return this.#open(before);
    this.#fresh = [];
    this.#propose([...this.#outstanding.values()].filter(({ proposedAt }) => proposedAt <= before));
  }

  /** An entry was applied. */
  applied({ envelope, result }: Applied): void {
    if (envelope === undefined || result === undefined) return;
    const { command, session } = envelope;
    if (command.kind === "open-session" && command.session === this.#session) {
      if (this.#sessionState !== "opening") return;
      this.#sessionState = result.kind === "done" ? "open" : "closed";
      this.#host.schedule();
      return;
    }
    if (session !== this.#session) return;
    if (result.kind === "session-expired") return this.#sessionExpired();
    this.#outstanding.get(envelope.sequence)?.wait.resolve(result);
  }

  /** This node left its cluster: what is under way can never be answered, and the next one knows no such session. */
  reset(reason: string): void {
    this.#sessionState = "closed";
    this.#session = this.#newSession();
    this.#fresh = [];
    for (const outstanding of [...this.#outstanding.values()]) {
      outstanding.wait.reject(this.#unanswered(outstanding, reason));
    }
  }

  stop(reason: string): void {
    this.reset(reason);
    this.#waits.stop(reason);
  }

  /** Opens the session unless it was asked for after `before`. */
  #open(before: number): void {
    if (this.#sessionState === "closed") {
      this.#sessionState = "opening";
      this.#openedAt = -Infinity;
    }
    if (this.#openedAt > before) return;
    const command = { kind: "open-session", session: this.#session } as const;
    const payload = encodeEnvelope({ session: 0, sequence: 0, doneBelow: 0, command });
    if (this.#host.propose([payload]) === "taken") this.#openedAt = this.#host.clock.now();
  }

  #propose(due: readonly Outstanding[]): void {
    let batch: Outstanding[] = [], payloads: Bytes[] = [], bytes = 0;
    for (const outstanding of due) {
      if (outstanding.session !== this.#session) {
        outstanding.session = this.#session;
        outstanding.payload = this.#encode(outstanding.sequence, outstanding.command);
      }
      const { payload } = outstanding;
      if (bytes > 0 && bytes + payload.byteLength > BATCH_BYTES) {
        // What is not taken is tried again when there is a leader, or at the next look.
        if (!this.#send(batch, payloads)) return;
        batch = [];
        payloads = [];
        bytes = 0;
      }
      batch.push(outstanding);
      payloads.push(payload);
      bytes += payload.byteLength;
    }
    if (batch.length > 0) this.#send(batch, payloads);
  }

  #send(batch: readonly Outstanding[], payloads: readonly Bytes[]): boolean {
    if (this.#host.propose(payloads) !== "taken") return false;
    const now = this.#host.clock.now();
    for (const outstanding of batch) {
      outstanding.proposed = true;
      outstanding.proposedAt = now;
    }
    return true;
  }

  /** The state knows this session no more: whether what is under way took effect cannot be told. */
  #sessionExpired(): void {
    if (this.#sessionState !== "open") return;
    this.#sessionState = "closed";
    this.#session = this.#newSession();
    for (const outstanding of [...this.#outstanding.values()]) {
      if (!outstanding.proposed) continue;
      outstanding.wait.reject(
        this.#waits.error("timeout", "this node's session in the replicated state is gone"),
      );
    }
    this.#host.schedule();
  }

  /** Throws `malformed`. */
  #encode(sequence: number, command: Command): Bytes {
    const [doneBelow = sequence] = this.#outstanding.keys();
    return encodeEnvelope({ session: this.#session, sequence, doneBelow, command });
  }

  #newSession(): number {
    return 1 + randomBelow(this.#host.random, Number.MAX_SAFE_INTEGER - 1);
  }

  #unanswered({ proposed, command }: Outstanding, why: string): FlotillaError {
    if (proposed) return this.#waits.error("timeout", `${command.kind}: ${why}; it may take effect or not`);
    return this.#waits.error("no-leader", `${command.kind}: ${this.#host.obstacle() ?? why}`);
  }
}
