/** The server's graph of nodes and links as a tree from the root, in one direction. Pure. */
import type { TraceAnswer } from '@gemba/web_kit/api/types'

type Edge = TraceAnswer['edges'][number]
type Node = TraceAnswer['nodes'][number]
export interface Branch {
  node: Node
  edge: Edge | null
  /** Already shown nearer to the root: named here, not opened again. */
  again: boolean
  children: Branch[]
}

const BRANCHES_MAX = 2_000

/** `up`: what it is made of (from a child to its parents); `down`: what it went into. A node reached twice is opened once. */
export function branches(answer: TraceAnswer, way: 'up' | 'down'): Branch | null {
  const nodes = new Map(answer.nodes.map((node) => [node.id, node]))
  const root = nodes.get(answer.root.id)
  if (!root) return null
  const next = new Map<number, Edge[]>()
  for (const edge of answer.edges) {
    const from = way === 'down' ? edge.parent : edge.child
    next.set(from, [...(next.get(from) ?? []), edge])
  }
  const seen = new Set([root.id])
  let count = 0
  const grow = (node: Node, edge: Edge | null): Branch => {
    const branch: Branch = { node, edge, again: false, children: [] }
    for (const one of next.get(node.id) ?? []) {
      const id = way === 'down' ? one.child : one.parent
      const child = nodes.get(id)
      if (!child || ++count > BRANCHES_MAX) continue
      if (seen.has(id)) branch.children.push({ node: child, edge: one, again: true, children: [] })
      else {
        seen.add(id)
        branch.children.push(grow(child, one))
      }
    }
    return branch
  }
  return grow(root, null)
}
