/**
 * Tests that do not exist on every runtime, each with its reason. Everything else must have the same names on
 * all three, so that no runtime quietly tests less. `name` is the full name, or `*` for the whole file.
 */
export const differences = [
  // { file: "test/server/example.test.ts", name: "outer > inner", only: ["bun"], reason: "..." },
];
