/**
 * Directory frames, as they travel on the control lane. Hand-rolled, since every registration passes here
 * once per peer: a claim costs its id and about five bytes. Decoding checks every shape and throws
 * `malformed`; what it returns is never larger than a small multiple of the frame.
 *
 * | byte | frame | fields |
 * | --- | --- | --- |
 * | 1 | changes | number of the first change, then changes to the end of the frame |
 * | 2 | snapshot-begin | number of the last change that it contains |
 * | 3 | claims | claims to the end of the frame |
 * | 4 | snapshot-end | state |
 * | 5 | heartbeat | state |
 * | 6 | snapshot-request | |
 * | 7 | ask | question, connectionId |
 * | 8 | answer | question, 0; or question, 1, handle, stamp |
 * | 9 | describe | question, connectionId |
 * | 10 | description | question, 0; or question, 1, details |
 *
 * A change is 0 and an id (removed), or a claim. A claim is 1, the id, and by how much its handle and stamp
 * exceed those of the claim before it in this frame (0 and 0 before the first); or 2 with the two numbers
 * themselves.
 */
import type { Bytes } from "../lib/bytes.ts";
import type { ConnectionDetails } from "../connection/sink.ts";
import type { Digest } from "./digest.ts";
import { CONNECTION_ID_BYTES_MAX } from "../lib/limits.ts";
import { decodeDetails, DETAILS_BYTES_MAX, encodeDetails } from "./details.ts";
import { STAMP_MAX } from "./stamp.ts";
import { ByteReader, ByteWriter } from "../lib/varint.ts";

/** One entry of an owner: which connection, under which handle, since when. */
export interface Claim {
  readonly id: string;
  readonly handle: number;
  readonly stamp: number;
}

export type Change =
  | { readonly kind: "put"; readonly claim: Claim }
  | { readonly kind: "remove"; readonly id: string };

/** What an owner's entries are after its change `number`. */
export interface OwnerState {
  readonly number: number;
  readonly digest: Readonly<Digest>;
}

export type DirectoryFrame =
  | { readonly kind: "changes"; readonly first: number; readonly changes: readonly Change[] }
  | { readonly kind: "snapshot-begin"; readonly number: number }
  | { readonly kind: "claims"; readonly claims: readonly Claim[] }
  | { readonly kind: "snapshot-end"; readonly state: OwnerState }
  | { readonly kind: "heartbeat"; readonly state: OwnerState }
  | { readonly kind: "snapshot-request" }
  | { readonly kind: "ask"; readonly question: number; readonly id: string }
  | { readonly kind: "answer"; readonly question: number; readonly claim: Omit<Claim, "id"> | undefined }
  | { readonly kind: "describe"; readonly question: number; readonly id: string }
  | {
    readonly kind: "description";
    readonly question: number;
    readonly details: ConnectionDetails | undefined;
  };

const CHANGES = 1;
const SNAPSHOT_BEGIN = 2;
const CLAIMS = 3;
const SNAPSHOT_END = 4;
const HEARTBEAT = 5;
const SNAPSHOT_REQUEST = 6;
const ASK = 7;
const ANSWER = 8;
const DESCRIBE = 9;
const DESCRIPTION = 10;

const REMOVED = 0;
const CLAIMED_AFTER = 1;
const CLAIMED = 2;

/** The highest handle, 2^47 - 1: in the router's frames a handle shares six bytes with one bit. */
export const HANDLE_MAX = 140_737_488_355_327;

/** Builds frames of changes or of claims, one entry after the other. */
export class EntriesWriter {
  readonly #writer = new ByteWriter();
  #handle = 0;
  #stamp = 0;

  get bytes(): number {
    return this.#writer.length;
  }

  beginChanges(first: number): void {
    this.#begin(CHANGES);
    this.#writer.varint(first);
  }

  beginClaims(): void {
    this.#begin(CLAIMS);
  }

  put(id: string, handle: number, stamp: number): void {
    const follows = handle >= this.#handle && stamp >= this.#stamp;
    this.#writer.byte(follows ? CLAIMED_AFTER : CLAIMED);
    this.#writer.text(id);
    this.#writer.varint(follows ? handle - this.#handle : handle);
    this.#writer.varint(follows ? stamp - this.#stamp : stamp);
    this.#handle = handle;
    this.#stamp = stamp;
  }

  remove(id: string): void {
    this.#writer.byte(REMOVED);
    this.#writer.text(id);
  }

  take(): Bytes {
    return this.#writer.take();
  }

  #begin(kind: number): void {
    this.#writer.byte(kind);
    this.#handle = 0;
    this.#stamp = 0;
  }
}

/** Any frame in bytes of its own. */
export function encodeFrame(frame: DirectoryFrame): Bytes {
  switch (frame.kind) {
    case "changes": {
      const entries = new EntriesWriter();
      entries.beginChanges(frame.first);
      for (const change of frame.changes) {
        if (change.kind === "remove") entries.remove(change.id);
        else entries.put(change.claim.id, change.claim.handle, change.claim.stamp);
      }
      return entries.take();
    }
    case "claims": {
      const entries = new EntriesWriter();
      entries.beginClaims();
      for (const { id, handle, stamp } of frame.claims) entries.put(id, handle, stamp);
      return entries.take();
    }
  }
  const writer = new ByteWriter();
  switch (frame.kind) {
    case "snapshot-begin":
      writer.byte(SNAPSHOT_BEGIN);
      writer.varint(frame.number);
      break;
    case "snapshot-end":
    case "heartbeat":
      writer.byte(frame.kind === "heartbeat" ? HEARTBEAT : SNAPSHOT_END);
      writer.varint(frame.state.number);
      writer.varint(frame.state.digest.count);
      writer.uint32(frame.state.digest.low);
      writer.uint32(frame.state.digest.high);
      break;
    case "snapshot-request":
      writer.byte(SNAPSHOT_REQUEST);
      break;
    case "ask":
    case "describe":
      writer.byte(frame.kind === "ask" ? ASK : DESCRIBE);
      writer.varint(frame.question);
      writer.text(frame.id);
      break;
    case "answer":
      writer.byte(ANSWER);
      writer.varint(frame.question);
      writer.byte(frame.claim === undefined ? 0 : 1);
      if (frame.claim === undefined) break;
      writer.varint(frame.claim.handle);
      writer.varint(frame.claim.stamp);
      break;
    case "description":
      writer.byte(DESCRIPTION);
      writer.varint(frame.question);
      writer.byte(frame.details === undefined ? 0 : 1);
      if (frame.details !== undefined) writer.bytes(encodeDetails(frame.details));
      break;
  }
  return writer.take();
}

/** The frame in `bytes`. Throws `malformed` unless they are exactly one. */
export function decodeFrame(bytes: Uint8Array): DirectoryFrame {
  const reader = new ByteReader(bytes, "a directory frame");
  const frame = decodeBody(reader);
  reader.end();
  return frame;
}

function decodeBody(reader: ByteReader): DirectoryFrame {
  const kind = reader.byte();
  switch (kind) {
    case CHANGES: {
      const first = reader.varint();
      const changes = entries(reader);
      return { kind: "changes", first, changes };
    }
    case SNAPSHOT_BEGIN:
      return { kind: "snapshot-begin", number: reader.varint() };
    case CLAIMS: {
      const claims: Claim[] = [];
      for (const change of entries(reader)) {
        if (change.kind === "remove") throw reader.malformed("removes from a snapshot");
        claims.push(change.claim);
      }
      return { kind: "claims", claims };
    }
    case SNAPSHOT_END:
      return { kind: "snapshot-end", state: ownerState(reader) };
    case HEARTBEAT:
      return { kind: "heartbeat", state: ownerState(reader) };
    case SNAPSHOT_REQUEST:
      return { kind: "snapshot-request" };
    case ASK:
      return { kind: "ask", question: reader.varint(), id: reader.text(CONNECTION_ID_BYTES_MAX) };
    case ANSWER: {
      const question = reader.varint();
      if (!present(reader)) return { kind: "answer", question, claim: undefined };
      const claim = { handle: handle(reader, reader.varint()), stamp: stamp(reader, reader.varint()) };
      return { kind: "answer", question, claim };
    }
    case DESCRIBE:
      return { kind: "describe", question: reader.varint(), id: reader.text(CONNECTION_ID_BYTES_MAX) };
    case DESCRIPTION: {
      const question = reader.varint();
      const details = present(reader) ? decodeDetails(reader.bytes(DETAILS_BYTES_MAX)) : undefined;
      return { kind: "description", question, details };
    }
    default:
      throw reader.malformed(`is of the unknown kind ${kind}`);
  }
}

function entries(reader: ByteReader): Change[] {
  const changes: Change[] = [];
  let lastHandle = 0;
  let lastStamp = 0;
  while (!reader.done) {
    const kind = reader.byte();
    if (kind > CLAIMED) throw reader.malformed(`has an entry of the unknown kind ${kind}`);
    const id = reader.text(CONNECTION_ID_BYTES_MAX);
    if (kind === REMOVED) {
      changes.push({ kind: "remove", id });
      continue;
    }
    lastHandle = handle(reader, reader.varint() + (kind === CLAIMED_AFTER ? lastHandle : 0));
    lastStamp = stamp(reader, reader.varint() + (kind === CLAIMED_AFTER ? lastStamp : 0));
    changes.push({ kind: "put", claim: { id, handle: lastHandle, stamp: lastStamp } });
  }
  return changes;
}

function ownerState(reader: ByteReader): OwnerState {
  const number = reader.varint();
  const count = reader.varint();
  return { number, digest: { count, low: reader.uint32(), high: reader.uint32() } };
}

function handle(reader: ByteReader, value: number): number {
  if (value > HANDLE_MAX) throw reader.malformed(`has the handle ${value}, above 2^47`);
  return value;
}

function stamp(reader: ByteReader, value: number): number {
  if (value > STAMP_MAX) throw reader.malformed(`has the stamp ${value}, above 2^53`);
  return value;
}

function present(reader: ByteReader): boolean {
  const flag = reader.byte();
  if (flag > 1) throw reader.malformed(`has ${flag} where 0 or 1 must be`);
  return flag === 1;
}
