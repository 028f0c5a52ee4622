/** Commands on strings. */
export * from "./counter.ts";
export * from "./get.ts";
export * from "./lcs.ts";
export * from "./multiple.ts";
export * from "./range.ts";
export * from "./set.ts";
