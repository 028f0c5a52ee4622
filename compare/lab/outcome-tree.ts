/**
 * Outcomes of recovery by what recovery looked at: a decision tree. The first question that recovery asks is always the
 * same; the next depends on the answers so far. A path from the root is a run of recovery, its leaf the outcome. An image
 * whose answers lead to a leaf needs no recovery: it would run exactly as the one that made the leaf.
 */
import { assert } from "../../common/assert.ts";
import type { DiskImage } from "./disk-image.ts";
import { answerOf, type Question } from "./scratch-disk.ts";

interface Branch<T> {
  readonly path: string;
  readonly what: number;
  readonly next: Map<number | string, Node<T>>;
}

interface Leaf<T> {
  readonly outcome: T;
}

type Node<T> = Branch<T> | Leaf<T>;

export class OutcomeTree<T> {
  #root: Node<T> | undefined;
  /** Leaves: how many times recovery ran. */
  leaves = 0;

  /** The outcome that recovery of this image would have; undefined when it has to be run. */
  find(image: DiskImage): T | undefined {
    let node = this.#root;
    while (node !== undefined) {
      if ("outcome" in node) return node.outcome;
      node = node.next.get(answerOf(image, node.path, node.what));
    }
    return undefined;
  }

  /** Recovery asked these questions and came to this outcome. */
  add(questions: readonly Question[], outcome: T): void {
    this.leaves++;
    const leaf: Leaf<T> = { outcome };
    if (questions.length === 0) {
      this.#root = leaf;
      return;
    }
    const [first] = questions as [Question];
    this.#root ??= branch(first);
    let node = this.#root as Branch<T>;
    for (let index = 0; index < questions.length; index++) {
      const { path, what, answer } = questions[index] as Question;
      assert(node.path === path && node.what === what, "recovery is a function of what it reads");
      const following = questions[index + 1];
      let next = node.next.get(answer);
      if (next === undefined) {
        next = following === undefined ? leaf : branch(following);
        node.next.set(answer, next);
      }
      if (following === undefined) return;
      node = next as Branch<T>;
    }
  }
}

function branch<T>({ path, what }: Question): Branch<T> {
  return { path, what, next: new Map() };
}
