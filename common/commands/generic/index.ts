/** Commands on keys of any type. */
export * from "./expire.ts";
export * from "./keys.ts";
export * from "./object.ts";
export * from "./rename.ts";
export * from "./scan.ts";
export * from "./ttl.ts";
