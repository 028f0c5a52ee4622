/** Commands on hashes. */
export * from "./random.ts";
export * from "./read.ts";
export * from "./scan.ts";
export * from "./write.ts";
