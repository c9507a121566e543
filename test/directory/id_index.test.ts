import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { IdIndex, NONE } from "../../src/directory/id_index.ts";

describe("id index", () => {
  test("finds what a Map finds, through any sequence of sets and deletes", () => {
    // Few distinct ids, so that deletes hit and clusters form; a seed each, so that homes differ.
    const step = fc.record({ id: fc.integer({ min: 0, max: 400 }), deletes: fc.boolean() });
    fc.assert(
      fc.property(fc.integer(), fc.array(step, { maxLength: 1_500, size: "max" }), (seed, steps) => {
        const ids: string[] = [];
        const free: number[] = [];
        const index = new IdIndex(ids, seed);
        const model = new Map<string, number>();
        for (const { id: number, deletes } of steps) {
          const id = `c-${number}`;
          const slot = model.get(id);
          if (deletes) {
            index.delete(id);
            model.delete(id);
            if (slot === undefined) continue;
            ids[slot] = "";
            free.push(slot);
          } else {
            const taken = free.pop() ?? ids.length;
            ids[taken] = id;
            index.set(id, taken);
            model.set(id, taken);
            if (slot === undefined) continue;
            ids[slot] = "";
            free.push(slot);
          }
        }
        expect(index.size).toBe(model.size);
        const all = Array.from({ length: 401 }, (_, number) => `c-${number}`);
        expect(all.map((id) => index.find(id))).toEqual(all.map((id) => model.get(id) ?? NONE));
      }),
      { numRuns: 40 },
    );
  });
});
