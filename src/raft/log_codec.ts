/**
 * Bytes for what a log holds, on the wire and on disks. Numbers are varints (src/lib/varint.ts), flags one byte
 * of 0 or 1; lists and byte strings have their length before them. What is decoded has the right shape and range;
 * whether it makes sense in its place is for others to say.
 *
 * entry:          0 | term | index | data; or 1 | term | index | change
 * proposal:       0 | data; or 1 | change
 * change:         transition u8 | steps, each operation u8 and id | context
 * configuration:  voters | votersOutgoing | learners | learnersNext | autoLeave
 * snapshot:       index | term | configuration | data, to the end of the bytes
 */
import { type Bytes, concatBytes } from "../lib/bytes.ts";
import { ByteReader, ByteWriter } from "../lib/varint.ts";
import { POSITION_MAX } from "./core/message_check.ts";
import {
  type ConfChange,
  type ConfOperation,
  type ConfState,
  type ConfStep,
  type Entry,
  NO_ID,
  type Proposal,
  type RaftId,
  type Snapshot,
} from "./core/types.ts";

const NORMAL = 0;
const CONF_CHANGE = 1;
const TRANSITIONS: readonly ConfChange["transition"][] = ["auto", "implicit", "explicit"];
const OPERATIONS: readonly ConfOperation[] = ["add-voter", "add-learner", "remove", "update"];
const NOTHING: Bytes = new Uint8Array();

export function encodeEntry(entry: Entry): Bytes {
  const writer = new ByteWriter();
  writeEntry(writer, entry);
  return writer.take();
}

/** Throws `malformed`. The entry's data is a view of `bytes`. */
export function decodeEntry(bytes: Uint8Array): Entry {
  return decodeWhole(bytes, "a Raft entry", readEntry);
}

export function encodeSnapshot(snapshot: Snapshot): Bytes {
  const writer = new ByteWriter();
  writeSnapshotHead(writer, snapshot);
  return concatBytes(writer.take(), snapshot.data);
}

/** Throws `malformed`. The snapshot's data is a view of `bytes`. */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  return decodeWhole(bytes, "a Raft snapshot", readSnapshot);
}

export function encodeConfState(state: ConfState): Bytes {
  const writer = new ByteWriter();
  writeConfState(writer, state);
  return writer.take();
}

/** Throws `malformed`. */
export function decodeConfState(bytes: Uint8Array): ConfState {
  return decodeWhole(bytes, "a Raft configuration", readConfState);
}

/** Without its data, and without a change's context, if `withoutData`. */
export function writeEntry(writer: ByteWriter, entry: Entry, withoutData = false): void {
  writer.byte(entry.type === "normal" ? NORMAL : CONF_CHANGE);
  writer.varint(entry.term);
  writer.varint(entry.index);
  if (entry.type === "normal") writer.bytes(withoutData ? NOTHING : entry.data);
  else writeChange(writer, entry.change, withoutData);
}

export function readEntry(reader: ByteReader): Entry {
  const isChange = readFlag(reader);
  const term = readPosition(reader), index = readPosition(reader);
  return isChange
    ? { type: "conf-change", term, index, change: readChange(reader) }
    : { type: "normal", term, index, data: readBytes(reader) };
}

export function writeProposal(writer: ByteWriter, proposal: Proposal): void {
  writer.byte(proposal.type === "normal" ? NORMAL : CONF_CHANGE);
  if (proposal.type === "normal") writer.bytes(proposal.data);
  else writeChange(writer, proposal.change, false);
}

export function readProposal(reader: ByteReader): Proposal {
  return readFlag(reader)
    ? { type: "conf-change", change: readChange(reader) }
    : { type: "normal", data: readBytes(reader) };
}

/** All of a snapshot but its data, which end whatever they are part of. */
export function writeSnapshotHead(writer: ByteWriter, snapshot: Snapshot): void {
  writer.varint(snapshot.index);
  writer.varint(snapshot.term);
  writeConfState(writer, snapshot.confState);
}

export function readSnapshot(reader: ByteReader): Snapshot {
  const index = readPosition(reader), term = readPosition(reader), confState = readConfState(reader);
  return { index, term, confState, data: reader.rest() };
}

function writeConfState(writer: ByteWriter, state: ConfState): void {
  for (const ids of [state.voters, state.votersOutgoing, state.learners, state.learnersNext]) {
    writer.varint(ids.length);
    for (const id of ids) writer.varint(id);
  }
  writeFlag(writer, state.autoLeave);
}

function readConfState(reader: ByteReader): ConfState {
  const voters = readList(reader, readMember), votersOutgoing = readList(reader, readMember);
  const learners = readList(reader, readMember), learnersNext = readList(reader, readMember);
  return { voters, votersOutgoing, learners, learnersNext, autoLeave: readFlag(reader) };
}

function writeChange(writer: ByteWriter, change: ConfChange, withoutData: boolean): void {
  writer.byte(TRANSITIONS.indexOf(change.transition));
  writer.varint(change.steps.length);
  for (const { operation, id } of change.steps) {
    writer.byte(OPERATIONS.indexOf(operation));
    writer.varint(id);
  }
  writer.bytes(withoutData ? NOTHING : change.context);
}

function readChange(reader: ByteReader): ConfChange {
  const transition = readNamed(reader, TRANSITIONS, "transition");
  const steps = readList(reader, readStep);
  return { transition, steps, context: readBytes(reader) };
}

function readStep(reader: ByteReader): ConfStep {
  return { operation: readNamed(reader, OPERATIONS, "operation"), id: reader.varint() };
}

export function writeFlag(writer: ByteWriter, flag: boolean): void {
  writer.byte(flag ? 1 : 0);
}

export function readFlag(reader: ByteReader): boolean {
  const byte = reader.byte();
  if (byte > 1) throw reader.malformed(`has ${byte} where 0 or 1 must be`);
  return byte === 1;
}

/** One of `names` by its place in the list. */
export function readNamed<Name extends string>(
  reader: ByteReader,
  names: readonly Name[],
  what: string,
): Name {
  const byte = reader.byte();
  const name = names[byte];
  if (name === undefined) throw reader.malformed(`has the unknown ${what} ${byte}`);
  return name;
}

/** A term or an index. */
export function readPosition(reader: ByteReader): number {
  const value = reader.varint();
  if (value > POSITION_MAX) throw reader.malformed(`has the position ${value}, above 2^48`);
  return value;
}

export function readMember(reader: ByteReader): RaftId {
  const id = reader.varint();
  if (id === NO_ID) throw reader.malformed("has no member where one must be");
  return id;
}

/** However long a list says that it is, what is read of it is bounded by the bytes there. */
export function readList<Item>(reader: ByteReader, read: (reader: ByteReader) => Item): Item[] {
  const items: Item[] = [];
  for (let rest = reader.varint(); rest > 0; rest--) items.push(read(reader));
  return items;
}

function readBytes(reader: ByteReader): Uint8Array {
  return reader.bytes(Number.MAX_SAFE_INTEGER);
}

function decodeWhole<Value>(bytes: Uint8Array, what: string, read: (reader: ByteReader) => Value): Value {
  const reader = new ByteReader(bytes, what);
  const value = read(reader);
  reader.end();
  return value;
}
