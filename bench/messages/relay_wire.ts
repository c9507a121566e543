/** The relay's frames: many messages one way, the number of those handed to clients the other way. */

/** connection number, length; both 32 bits. */
const HEADER_BYTES = 8;

export interface Outgoing {
  readonly connection: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** The batch in as few frames of at most `frameBytesMax` as that takes. */
export function encodeBatches(
  batch: readonly Outgoing[],
  frameBytesMax: number,
): Uint8Array<ArrayBuffer>[] {
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let first = 0, end = 0; first < batch.length; first = end) {
    let bytes = 0;
    for (; end < batch.length; end++) {
      const more = HEADER_BYTES + (batch[end] as Outgoing).payload.byteLength;
      if (end > first && bytes + more > frameBytesMax) break;
      bytes += more;
    }
    frames.push(encodeFrame(batch, first, end, bytes));
  }
  return frames;
}

function encodeFrame(
  batch: readonly Outgoing[],
  first: number,
  end: number,
  bytes: number,
): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(bytes);
  const view = new DataView(frame.buffer);
  let at = 0;
  for (let index = first; index < end; index++) {
    const { connection, payload } = batch[index] as Outgoing;
    view.setUint32(at, connection);
    view.setUint32(at + 4, payload.byteLength);
    frame.set(payload, at + HEADER_BYTES);
    at += HEADER_BYTES + payload.byteLength;
  }
  return frame;
}

/** Calls `deliver` for each message of a frame; returns how many there were. Payloads are views of the frame. */
export function decodeBatch(
  frame: Uint8Array<ArrayBuffer>,
  deliver: (connection: number, payload: Uint8Array<ArrayBuffer>) => void,
): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  let count = 0;
  for (let at = 0; at < frame.byteLength; count++) {
    const end = at + HEADER_BYTES + view.getUint32(at + 4);
    deliver(view.getUint32(at), frame.subarray(at + HEADER_BYTES, end));
    at = end;
  }
  return count;
}

export function encodeCount(count: number): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(4);
  new DataView(frame.buffer).setUint32(0, count);
  return frame;
}

export function decodeCount(frame: ArrayBuffer): number {
  return new DataView(frame).getUint32(0);
}
