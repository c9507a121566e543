/**
 * Bytes for what members send each other. Hand-rolled, since every append and its answer pass here. What is
 * decoded has the right shape; whether it makes sense is for the core to say (core/message_check.ts).
 *
 * message:  kind u8 | from | to | term | the fields of the kind, in the order of core/types.ts
 *
 * What stands inside messages and on disks: log_codec.ts.
 */
import { type Bytes, concatBytes } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import { ByteReader, ByteWriter } from "../lib/varint.ts";
import type { Message, RaftId } from "./core/types.ts";
import {
  readEntry,
  readFlag,
  readList,
  readMember,
  readNamed,
  readPosition,
  readProposal,
  readSnapshot,
  writeEntry,
  writeFlag,
  writeProposal,
  writeSnapshotHead,
} from "./log_codec.ts";

export {
  decodeConfState,
  decodeEntry,
  decodeSnapshot,
  encodeConfState,
  encodeEntry,
  encodeSnapshot,
} from "./log_codec.ts";

export interface MessageEncoding {
  /**
   * Leaves out what a witness has no use for: the data of entries and snapshots and the context of changes; they
   * arrive empty. Default false.
   */
  readonly withoutData?: boolean;
}

const KINDS = [
  "append",
  "append-response",
  "heartbeat",
  "heartbeat-response",
  "vote",
  "pre-vote",
  "vote-response",
  "pre-vote-response",
  "snapshot",
  "timeout-now",
  "transfer-leader",
  "propose",
  "read-index",
  "read-index-response",
] as const satisfies readonly Message["type"][];

/**
 * `message` in bytes of its own. Its numbers must be whole and not negative, as the core's are; a read's context,
 * which is the application's, is `invalid-option` when it is not.
 */
export function encodeMessage(message: Message, { withoutData = false }: MessageEncoding = {}): Bytes {
  const writer = new ByteWriter();
  writer.byte(KINDS.indexOf(message.type));
  writer.varint(message.from);
  writer.varint(message.to);
  writer.varint(message.term);
  switch (message.type) {
    case "append":
      writer.varint(message.index);
      writer.varint(message.logTerm);
      writer.varint(message.entries.length);
      for (const entry of message.entries) writeEntry(writer, entry, withoutData);
      writer.varint(message.commit);
      break;
    case "append-response":
      writer.varint(message.index);
      writeFlag(writer, message.reject);
      writer.varint(message.hint);
      writer.varint(message.hintTerm);
      break;
    case "heartbeat":
      writer.varint(message.commit);
      writer.varint(message.round);
      break;
    case "heartbeat-response":
      writer.varint(message.round);
      break;
    case "vote":
    case "pre-vote":
      writer.varint(message.index);
      writer.varint(message.logTerm);
      writeFlag(writer, message.transfer);
      break;
    case "vote-response":
    case "pre-vote-response":
      writeFlag(writer, message.reject);
      writer.varint(message.commit);
      writer.varint(message.commitTerm);
      break;
    case "snapshot":
      writeSnapshotHead(writer, message.snapshot);
      return withoutData ? writer.take() : concatBytes(writer.take(), message.snapshot.data);
    case "timeout-now":
      break;
    case "transfer-leader":
      writer.varint(message.transferee);
      break;
    case "propose":
      writer.varint(message.proposals.length);
      for (const proposal of message.proposals) writeProposal(writer, proposal);
      break;
    case "read-index":
      writeContext(writer, message.context);
      break;
    case "read-index-response":
      writer.varint(message.index);
      writeContext(writer, message.context);
      break;
  }
  return writer.take();
}

/** Throws `malformed`. Data in the message are views of `bytes`. */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new ByteReader(bytes, "a Raft message");
  const type = readNamed(reader, KINDS, "kind");
  const from = readMember(reader), to = readMember(reader), term = readPosition(reader);
  const message = decodeFields(reader, type, from, to, term);
  reader.end();
  return message;
}

function decodeFields(
  reader: ByteReader,
  type: Message["type"],
  from: RaftId,
  to: RaftId,
  term: number,
): Message {
  switch (type) {
    case "append": {
      const index = readPosition(reader), logTerm = readPosition(reader);
      const entries = readList(reader, readEntry);
      return { type, from, to, term, index, logTerm, entries, commit: readPosition(reader) };
    }
    case "append-response": {
      const index = readPosition(reader), reject = readFlag(reader), hint = readPosition(reader);
      return { type, from, to, term, index, reject, hint, hintTerm: readPosition(reader) };
    }
    case "heartbeat":
      return { type, from, to, term, commit: readPosition(reader), round: readPosition(reader) };
    case "heartbeat-response":
      return { type, from, to, term, round: readPosition(reader) };
    case "vote":
    case "pre-vote": {
      const index = readPosition(reader), logTerm = readPosition(reader);
      return { type, from, to, term, index, logTerm, transfer: readFlag(reader) };
    }
    case "vote-response":
    case "pre-vote-response": {
      const reject = readFlag(reader), commit = readPosition(reader);
      return { type, from, to, term, reject, commit, commitTerm: readPosition(reader) };
    }
    case "snapshot":
      return { type, from, to, term, snapshot: readSnapshot(reader) };
    case "timeout-now":
      return { type, from, to, term };
    case "transfer-leader":
      return { type, from, to, term, transferee: readMember(reader) };
    case "propose":
      return { type, from, to, term, proposals: readList(reader, readProposal) };
    case "read-index":
      return { type, from, to, term, context: reader.varint() };
    case "read-index-response":
      return { type, from, to, term, index: readPosition(reader), context: reader.varint() };
  }
}

function writeContext(writer: ByteWriter, context: number): void {
  if (!Number.isSafeInteger(context) || context < 0) {
    throw new FlotillaError(
      "invalid-option",
      `encode a read with the context ${context}: it must be a whole number from 0 to 2^53 - 1`,
    );
  }
  writer.varint(context);
}
