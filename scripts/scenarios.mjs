/**
 * What `npm run verify -- NAME` runs at full counts: a list of test files for each claim. The figures come from
 * `report()` in test/support/measure.ts.
 */
export const scenarios = {
  house: {
    claim: "Layers, imports and the ways to get the library hold.",
    files: ["test/house/imports.test.ts", "test/house/source.test.ts"],
  },
};
