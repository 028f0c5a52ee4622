/**
 * Outcomes of recovery by what recovery looked at: a decision tree. The first question that recovery asks is always the
 * same; the next depends on the answers so far. A path from the root is a run of recovery, its leaf the outcome. An image
 * whose answers lead to a leaf needs no recovery: it would run exactly as the one that made the leaf.
 *
 * Where only one run has come along, its questions are kept as a list; a node is made where two answers differ.
 */
import { assert } from "../../common/assert.ts";
import type { DiskImage } from "./disk-image.ts";
import { answerOf, type Question } from "./scratch-disk.ts";

interface Node<T> {
  /** All of them must be answered so; then the run has ended with `end`, or the next answer says where it went on. */
  run: readonly Question[];
  end: Leaf<T> | Branch<T>;
}

interface Leaf<T> {
  readonly outcome: T;
}

interface Branch<T> {
  readonly path: string;
  readonly what: number;
  readonly next: Map<number | string, Node<T>>;
}

export class OutcomeTree<T> {
  #root: Node<T> | undefined;
  /** Leaves: how many times recovery ran. */
  leaves = 0;

  /** The outcome that recovery of this image would have; undefined when it has to be run. */
  find(image: DiskImage): T | undefined {
    let node = this.#root;
    while (node !== undefined) {
      for (const { path, what, answer } of node.run) if (answerOf(image, path, what) !== answer) return undefined;
      const { end } = node;
      if ("outcome" in end) return end.outcome;
      node = end.next.get(answerOf(image, end.path, end.what));
    }
    return undefined;
  }

  /** Recovery asked these questions and came to this outcome. */
  add(questions: readonly Question[], outcome: T): void {
    this.leaves++;
    const leaf = (from: number): Node<T> => ({ run: questions.slice(from), end: { outcome } });
    if (this.#root === undefined) {
      this.#root = leaf(0);
      return;
    }
    let node = this.#root;
    for (let asked = 0; asked < questions.length; ) {
      const same = sameAnswers(node.run, questions, asked);
      asked += same;
      const question = questions[asked];
      // What looked at less than an earlier run (which was checked as well) has nothing to add.
      if (question === undefined) return;
      if (same < node.run.length) split(node, same);
      const { end } = node;
      if ("outcome" in end) return;
      assert(end.path === question.path && end.what === question.what, "recovery is a function of what it reads");
      const next = end.next.get(question.answer);
      asked++;
      if (next === undefined) {
        end.next.set(question.answer, leaf(asked));
        return;
      }
      node = next;
    }
  }
}

/** How many of the run's questions were answered likewise, from `from` on. */
function sameAnswers(run: readonly Question[], questions: readonly Question[], from: number): number {
  let same = 0;
  while (same < run.length && run[same]?.answer === questions[from + same]?.answer) same++;
  return same;
}

/** The run of a node ends behind `kept` questions: the next one has more than one answer. */
function split<T>(node: Node<T>, kept: number): void {
  const { path, what, answer } = node.run[kept] as Question;
  const rest: Node<T> = { run: node.run.slice(kept + 1), end: node.end };
  node.run = node.run.slice(0, kept);
  node.end = { path, what, next: new Map([[answer, rest]]) };
}
