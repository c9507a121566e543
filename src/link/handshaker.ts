import { type Bytes, hex } from "../lib/bytes.ts";
import type { Timer } from "../lib/clock.ts";
import { jittered } from "../lib/random.ts";
import type { Path } from "../transport.ts";
import {
  type Ephemeral,
  generateEphemeral,
  NONCE_BYTES,
  sha256,
  type TrafficSecrets,
} from "./cluster_keys.ts";
import {
  type Confirm,
  encodeCore,
  type HandshakeMessage,
  type Hello,
  type Introduction,
  type Refuse,
  type Reply,
  sealHandshake,
  type Signed,
} from "./handshake_wire.ts";
import { agree, type Agreement, FRESH_POSITIONS, type HandshakerHost, isPlain } from "./agreement.ts";

interface Outgoing {
  /** Where the reply came from; before, every way is tried. */
  path: Path | undefined;
  readonly attempt: Bytes;
  ephemeral: Ephemeral | undefined;
  hello: Hello | undefined;
  helloCore: Bytes | undefined;
  /** What is repeated until answered: the hello, then the confirm. */
  packet: Bytes | undefined;
  replied: boolean;
  agreement: Agreement | undefined;
  timer: Timer | undefined;
  repeatMs: number;
  readonly deadline: number;
}

interface Incoming {
  readonly attempt: string;
  /** One attempt may come by several ways; each is answered for itself, and confirmed where it was answered. */
  readonly path: Path | undefined;
  readonly hello: Hello;
  readonly helloCore: Bytes;
  /** Set when the answer is ready. */
  answer: {
    readonly packet: Bytes;
    readonly reply: Reply;
    readonly transcript: Bytes;
    readonly secrets: TrafficSecrets;
  } | undefined;
  committing: boolean;
  /** Id of the session with another incarnation that missed its probe. */
  outlived: string | undefined;
}

const REPEAT_FIRST_MS = 200;
const REPEAT_MAX_MS = 2_000;
/** Attempts of one peer answered at once. A correct peer has one; replays make more, and must not displace it. */
const INCOMING_MAX = 32;

/**
 * Proves both ends to each other and agrees on a session and its keys, in three messages:
 *
 *   initiator                                   responder
 *   hello (nonce, key, session to resume)  →
 *                                          ←    reply (nonce, key, session, HMAC over both as responder)
 *   confirm (HMAC over all as initiator)   →    committed
 *                                          ←    first packet under the new keys: committed
 *
 * Of crossing attempts the one of the lower nodeId goes on. Only a confirm ends the other: a hello proves nothing
 * about when it was said. Every message may be lost, repeated or late.
 */
export class Handshaker {
  readonly #host: HandshakerHost;
  #outgoing: Outgoing | undefined;
  /** Oldest first. */
  #incoming: readonly Incoming[] = [];

  constructor(host: HandshakerHost) {
    this.#host = host;
  }

  /** An attempt of this side is under way. */
  get busy(): boolean {
    return this.#outgoing !== undefined;
  }

  /** The attempt under way cannot go on without `path`. */
  needs(path: Path | undefined): boolean {
    return this.#outgoing?.replied === true && this.#outgoing.path === path;
  }

  /** There is one more way. */
  offer(path: Path | undefined): void {
    const outgoing = this.#outgoing;
    if (outgoing?.packet !== undefined && !outgoing.replied) this.#host.send(outgoing.packet, path);
  }

  initiate(): void {
    this.cancel();
    const outgoing: Outgoing = {
      path: undefined,
      attempt: this.#host.random.bytes(NONCE_BYTES),
      ephemeral: undefined,
      hello: undefined,
      helloCore: undefined,
      packet: undefined,
      replied: false,
      agreement: undefined,
      timer: undefined,
      repeatMs: REPEAT_FIRST_MS,
      deadline: this.#host.clock.now() + this.#host.handshakeTimeoutMs,
    };
    this.#outgoing = outgoing;
    void this.#sayHello(outgoing);
  }

  /** Gives up the attempt of this side. */
  cancel(): void {
    const outgoing = this.#outgoing;
    if (outgoing === undefined) return;
    outgoing.timer?.cancel();
    if (outgoing.agreement !== undefined) this.#host.abandon(outgoing.agreement.space.tagIn);
    this.#outgoing = undefined;
  }

  stop(): void {
    this.cancel();
    this.#incoming = [];
  }

  /** The first packet of the expected space came: returns what is agreed, once. */
  settled(tagIn: number): Agreement | undefined {
    const agreement = this.#outgoing?.agreement;
    if (agreement === undefined || agreement.space.tagIn !== tagIn) return undefined;
    this.#outgoing?.timer?.cancel();
    this.#outgoing = undefined;
    return agreement;
  }

  async receive({ message, core, proof }: Signed, path: Path | undefined): Promise<void> {
    if (message.from !== this.#host.peerId || message.to !== this.#host.nodeId) return;
    switch (message.kind) {
      case "hello":
        return await this.#onHello(message, core, path);
      case "reply":
        return await this.#onReply(message, core, proof, path);
      case "confirm":
        return await this.#onConfirm(message, core, proof, path);
      case "refuse":
        return await this.#onRefuse(message, core, proof);
    }
  }

  async #sayHello(outgoing: Outgoing): Promise<void> {
    outgoing.ephemeral = await generateEphemeral();
    const session = this.#host.liveSession();
    const hello: Hello = {
      kind: "hello",
      ...this.#introduction(outgoing.attempt, outgoing.ephemeral),
      resume: session && { sessionId: session.id, received: session.received },
    };
    outgoing.hello = hello;
    outgoing.helloCore = encodeCore(hello);
    const packet = await this.#seal(hello, outgoing.helloCore, new Uint8Array(0));
    if (this.#outgoing === outgoing) this.#repeat(outgoing, packet);
  }

  async #onHello(hello: Hello, helloCore: Bytes, path: Path | undefined): Promise<void> {
    const host = this.#host;
    if (this.#outgoing !== undefined && host.nodeId < host.peerId) {
      // Ours goes on; sent again this way, in case the peer has not heard it.
      return this.offer(path);
    }
    const attempt = hex(hello.attempt);
    const known = this.#find(attempt, path);
    if (known !== undefined) {
      if (known.answer !== undefined) host.send(known.answer.packet, path);
      return;
    }
    const incoming: Incoming = {
      attempt,
      path,
      hello,
      helloCore,
      answer: undefined,
      committing: false,
      outlived: undefined,
    };
    this.#incoming = [...this.#incoming.slice(1 - INCOMING_MAX), incoming];

    if (await this.#isTaken(incoming)) {
      this.#forget(incoming);
      return await this.#refuse(hello, helloCore, "id-in-use", path);
    }
    const ephemeral = await generateEphemeral();
    if (!this.#incoming.includes(incoming)) return;
    const live = host.liveSession();
    const resumed = live !== undefined && live.incarnation === hello.incarnation &&
      live.id === hello.resume?.sessionId;
    const reply: Reply = {
      kind: "reply",
      ...this.#introduction(hello.attempt, ephemeral),
      nonce: host.random.bytes(NONCE_BYTES),
      plain: host.plainOffer(path),
      resumed,
      sessionId: resumed ? live.id : hex(host.random.bytes(16)),
      received: resumed ? live.received : FRESH_POSITIONS,
    };
    const replyCore = encodeCore(reply);
    const transcript = await sha256(helloCore, replyCore);
    const secrets = await host.keys.trafficSecrets(ephemeral, hello.publicKey, transcript);
    const packet = await this.#seal(reply, replyCore, await host.keys.prove("responder", transcript));
    if (!this.#incoming.includes(incoming)) return;
    incoming.answer = { packet, reply, transcript, secrets };
    host.send(packet, path);
  }

  async #onReply(reply: Reply, replyCore: Bytes, proof: Bytes, path: Path | undefined): Promise<void> {
    const outgoing = this.#outgoing;
    if (
      outgoing?.helloCore === undefined || outgoing.replied || hex(outgoing.attempt) !== hex(reply.attempt)
    ) return;
    const { hello, ephemeral } = outgoing as { hello: Hello; ephemeral: Ephemeral };
    const transcript = await sha256(outgoing.helloCore, replyCore);
    if (!await this.#host.keys.verify("responder", transcript, proof)) return;
    const known = this.#host.liveSession();
    // An impostor hears our hello too where both subscribe to one name.
    if (known !== undefined && known.incarnation !== reply.incarnation && await this.#host.probe()) return;
    if (this.#outgoing !== outgoing || outgoing.replied) return;
    outgoing.replied = true;
    const secrets = await this.#host.keys.trafficSecrets(ephemeral, reply.publicKey, transcript);
    if (this.#outgoing !== outgoing) return;
    const live = this.#host.liveSession();
    if (reply.resumed && live?.id !== reply.sessionId) return this.initiate();
    const confirm: Confirm = {
      kind: "confirm",
      from: hello.from,
      to: hello.to,
      attempt: hello.attempt,
      plain: this.#host.plainOffer(path),
      received: reply.resumed && live !== undefined ? live.received : FRESH_POSITIONS,
    };
    const confirmCore = encodeCore(confirm);
    const confirmProof = await this.#host.keys.prove("initiator", await sha256(transcript, confirmCore));
    const packet = await this.#seal(confirm, confirmCore, confirmProof);
    if (this.#outgoing !== outgoing) return;
    outgoing.agreement = agree(
      reply,
      hello,
      reply,
      reply.received,
      isPlain(confirm.plain, reply.plain),
      path,
      secrets.initiator,
      secrets.responder,
    );
    outgoing.path = path;
    outgoing.repeatMs = REPEAT_FIRST_MS;
    this.#host.expect(outgoing.agreement);
    this.#repeat(outgoing, packet);
  }

  async #onConfirm(confirm: Confirm, core: Bytes, proof: Bytes, path: Path | undefined): Promise<void> {
    const host = this.#host;
    const incoming = this.#find(hex(confirm.attempt), path);
    if (incoming?.answer === undefined || incoming.committing) return;
    incoming.committing = true;
    const { hello, answer: { reply, transcript, secrets } } = incoming as Required<Incoming> & {
      answer: object;
    };
    const genuine = await host.keys.verify("initiator", await sha256(transcript, core), proof);
    // Another incarnation may have been admitted since the hello.
    if (genuine && await this.#isTaken(incoming)) {
      this.#forget(incoming);
      return await this.#refuse(hello, incoming.helloCore, "id-in-use", path);
    }
    // Of two confirmed attempts the one of the lower nodeId wins, on both sides.
    const ourCounts = this.#outgoing?.agreement !== undefined && host.nodeId < host.peerId;
    if (!genuine || ourCounts || !this.#incoming.includes(incoming)) {
      incoming.committing = false;
      return;
    }
    // What came before a committed attempt is outdated, and may still be confirmed late.
    this.#incoming = this.#incoming
      .slice(this.#incoming.indexOf(incoming) + 1)
      .filter(({ attempt }) => attempt !== incoming.attempt);
    if (reply.resumed && host.liveSession()?.id !== reply.sessionId) {
      return await this.#refuse(hello, incoming.helloCore, "session-unknown", path);
    }
    this.cancel();
    host.commit(agree(
      reply,
      reply,
      hello,
      confirm.received,
      isPlain(reply.plain, confirm.plain),
      path,
      secrets.responder,
      secrets.initiator,
    ));
  }

  async #onRefuse(refusal: Refuse, core: Bytes, proof: Bytes): Promise<void> {
    const outgoing = this.#outgoing;
    if (outgoing?.helloCore === undefined || hex(outgoing.attempt) !== hex(refusal.attempt)) return;
    if (!await this.#host.keys.verify("refusal", await sha256(outgoing.helloCore, core), proof)) return;
    if (this.#outgoing !== outgoing) return;
    this.cancel();
    this.#host.failed(refusal.reason);
  }

  /** Whether another incarnation of the peer lives. */
  async #isTaken(incoming: Incoming): Promise<boolean> {
    const known = this.#host.liveSession();
    if (known === undefined || known.incarnation === incoming.hello.incarnation) return false;
    if (known.id === incoming.outlived) return false;
    if (await this.#host.probe()) return true;
    incoming.outlived = known.id;
    return false;
  }

  async #refuse(
    hello: Hello,
    helloCore: Bytes,
    reason: Refuse["reason"],
    path: Path | undefined,
  ): Promise<void> {
    this.#host.refusing(reason);
    const refusal: Refuse = {
      kind: "refuse",
      from: this.#host.nodeId,
      to: hello.from,
      attempt: hello.attempt,
      reason,
    };
    const core = encodeCore(refusal);
    const proof = await this.#host.keys.prove("refusal", await sha256(helloCore, core));
    this.#host.send(await this.#seal(refusal, core, proof), path);
  }

  #find(attempt: string, path: Path | undefined): Incoming | undefined {
    return this.#incoming.find((incoming) => incoming.attempt === attempt && incoming.path === path);
  }

  #forget(incoming: Incoming): void {
    this.#incoming = this.#incoming.filter((other) => other !== incoming);
  }

  /** Sends `packet` now and again with growing pauses, until answered or the attempt's deadline. */
  #repeat(outgoing: Outgoing, packet: Bytes): void {
    outgoing.packet = packet;
    for (const path of outgoing.replied ? [outgoing.path] : this.#host.ways()) this.#host.send(packet, path);
    outgoing.timer?.cancel();
    outgoing.timer = this.#host.clock.timer(jittered(this.#host.random, outgoing.repeatMs), () => {
      if (this.#outgoing !== outgoing) return;
      if (this.#host.clock.now() >= outgoing.deadline) {
        this.cancel();
        this.#host.failed("timeout");
        return;
      }
      outgoing.repeatMs = Math.min(outgoing.repeatMs * 2, REPEAT_MAX_MS);
      this.#repeat(outgoing, packet);
    });
  }

  #introduction(attempt: Bytes, ephemeral: Ephemeral): Introduction {
    return {
      from: this.#host.nodeId,
      to: this.#host.peerId,
      incarnation: this.#host.incarnation,
      attempt,
      publicKey: ephemeral.publicKey,
      tag: this.#host.newTag(),
      windowBytes: this.#host.windowBytes(),
    };
  }

  #seal(message: HandshakeMessage, core: Bytes, proof: Bytes): Promise<Bytes> {
    return sealHandshake(this.#host.keys, message.kind, core, proof, this.#host.random.bytes(12));
  }
}
