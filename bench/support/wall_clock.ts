/**
 * One clock for all processes of a machine, to a few microseconds: `performance.timeOrigin` of the three runtimes
 * is too coarse for that. The wall clock's milliseconds are seen to turn, which ties `performance.now()` to it.
 */

const TURNS = 8;

/** Milliseconds since the Unix epoch, with a fraction that is comparable between processes. */
export function calibratedClock(): () => number {
  let offset = Infinity;
  for (let turn = 0; turn < TURNS; turn++) {
    const before = Date.now();
    let after = before;
    while (after === before) after = Date.now();
    // Seen late, if this process was interrupted: the earliest sight is the truest.
    offset = Math.min(offset, performance.now() - after);
  }
  return () => performance.now() - offset;
}
