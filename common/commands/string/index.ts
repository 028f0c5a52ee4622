/** Commands on strings. */

export * from "./get.ts";
export * from "./set.ts";
