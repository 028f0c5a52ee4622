/** Commands on hashes. */
export {};
