import { describe, expect, test } from "bun:test";
import { Heap } from "../../src/lib/heap.ts";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";

describe("Heap", () => {
  test("gives back what was pushed in ascending order, whatever the order of the pushes", () => {
    const random = seededRandom(7);
    for (let round = 0; round < 200; round++) {
      const values = Array.from({ length: randomBelow(random, 60) }, () => randomBelow(random, 20));
      const heap = new Heap<number>((a, b) => a < b);
      for (const value of values) heap.push(value);
      const out: number[] = [];
      while (heap.size > 0) {
        expect(heap.peek()).toBe(heap.peek());
        out.push(heap.pop() as number);
      }
      expect(out).toEqual(values.sort((a, b) => a - b));
    }
  });

  test("is usable again after it ran empty and after clear", () => {
    const heap = new Heap<number>((a, b) => a < b);
    expect(heap.pop()).toBe(undefined);
    heap.push(2);
    heap.push(1);
    heap.clear();
    expect(heap.peek()).toBe(undefined);
    heap.push(3);
    expect(heap.pop()).toBe(3);
    expect(heap.pop()).toBe(undefined);
    expect(heap.size).toBe(0);
  });
});
