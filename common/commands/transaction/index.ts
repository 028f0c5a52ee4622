/** MULTI and its family. */
export {};
