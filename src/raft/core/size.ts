/**
 * How large entries count against limits: by the protobuf encoding that etcd's Raft gives them, so that a limit
 * means the same here and there whatever encodes them on the wire.
 */
import type { ConfChange, Entry, Proposal } from "./types.ts";

/** Bytes of an entry's own data. An empty proposal counts nothing, so that no limit ever refuses it. */
export function payloadBytes(entry: Entry | Proposal): number {
  return entry.type === "normal" ? entry.data.byteLength : changeBytes(entry.change);
}

/** Bytes of an entry with its place and type. */
export function entryBytes(entry: Entry): number {
  const payload = payloadBytes(entry);
  return 4 + varintBytes(entry.term) + varintBytes(entry.index) +
    (payload === 0 ? 0 : 1 + varintBytes(payload) + payload);
}

export function payloadBytesOf(entries: readonly (Entry | Proposal)[]): number {
  let sum = 0;
  for (const entry of entries) sum += payloadBytes(entry);
  return sum;
}

export function entryBytesOf(entries: readonly Entry[]): number {
  let sum = 0;
  for (const entry of entries) sum += entryBytes(entry);
  return sum;
}

/** The longest prefix within `bytesMax`, but never less than one entry when there is one. */
export function limited(entries: Entry[], bytesMax: number): Entry[] {
  let sum = 0, count = 0;
  for (const entry of entries) {
    sum += entryBytes(entry);
    if (sum > bytesMax && count > 0) return entries.slice(0, count);
    count++;
  }
  return entries;
}

function changeBytes({ transition, steps, context }: ConfChange): number {
  if (transition === "auto" && steps.length === 0 && context.byteLength === 0) return 0;
  let sum = 2;
  for (const { id } of steps) sum += 5 + varintBytes(id);
  return sum + (context.byteLength === 0 ? 0 : 1 + varintBytes(context.byteLength) + context.byteLength);
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}
