import { describe, expect, test } from "bun:test";
import { ChangeLog } from "../../src/directory/log.ts";
import { LOG_BYTES_MAX } from "../../src/directory/options.ts";

/** A log of as many frames of one change each. */
function logOf(frames: number): ChangeLog {
  const log = new ChangeLog();
  log.record(true);
  for (let number = 1; number <= frames; number++) {
    log.put(`connection-${number}`, number, number);
    log.seal();
  }
  return log;
}

describe("ChangeLog", () => {
  test("forgets what everybody has, and nothing else", () => {
    const log = logOf(5);
    log.forget(3);
    expect(log.after(2)).toBeUndefined();
    expect(log.after(3)?.last).toBe(4);
    expect(log.after(4)?.last).toBe(5);
  });

  test("keeps a frame of which somebody lacks only the end", () => {
    const log = new ChangeLog();
    log.record(true);
    log.put("a", 1, 1);
    log.put("b", 2, 2);
    log.seal();
    log.forget(1);
    expect(log.after(0)?.last).toBe(2);
  });

  test("has room for as much again after it forgot", () => {
    const log = new ChangeLog();
    log.record(true);
    const id = "x".repeat(200);
    let last = 0;
    for (let round = 0; round < 3; round++) {
      const before = last;
      for (let bytes = 0; bytes < LOG_BYTES_MAX / 2; bytes += id.length) log.put(id, ++last, last);
      log.seal();
      expect(log.after(before)?.first).toBe(before + 1);
      log.forget(last);
    }
    expect(log.after(last)).toBeUndefined();
    expect(log.number).toBe(last);
  });
});
