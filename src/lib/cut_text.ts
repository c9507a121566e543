const encoder = new TextEncoder();

/** `text`, well-formed, as far as it takes at most `bytesMax` bytes of UTF-8; cut between characters. */
export function cutText(text: string, bytesMax: number): string {
  const whole = text.toWellFormed();
  return whole.slice(0, encoder.encodeInto(whole, new Uint8Array(bytesMax)).read);
}
