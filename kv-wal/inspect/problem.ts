/** What is wrong with a data folder: one thing, and where. */
import { CorruptFile } from "../../common/errors.ts";
import { PAGE_SIZE } from "../page.ts";
import { SPACE_PATH } from "../tablespace.ts";

export interface Problem {
  readonly path: string;
  readonly offset: number;
  /** Of the tablespace. */
  readonly page?: number;
  readonly reason: string;
}

/** A problem of a page, `at` bytes into it. */
export function pageProblem(page: number, reason: string, at = 0): Problem {
  return { path: SPACE_PATH, offset: page * PAGE_SIZE + at, page, reason };
}

/** What a reader of files has refused. */
export function problemOf(error: CorruptFile): Problem {
  const { path, offset } = error;
  const reason = error.message.slice(path.length + 2).replace(/ at offset \d+$/, "");
  if (path !== SPACE_PATH) return { path, offset, reason };
  return { path, offset, page: Math.floor(offset / PAGE_SIZE), reason };
}

/** Runs `look`; what it refuses goes to `tell`, and the answer is undefined then. */
export function attempt<T>(tell: (problem: Problem) => void, look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof CorruptFile)) throw error;
    tell(problemOf(error));
    return undefined;
  }
}

/** "wal/space, offset 49152 (page 3): …" */
export function describeProblem({ path, offset, page, reason }: Problem): string {
  return `${path}, offset ${offset}${page === undefined ? "" : ` (page ${page})`}: ${reason}`;
}
