/*
 * Hierarchical navigable small world graph (Malkov and Yashunin, IEEE TPAMI 42(4), 2020: "the paper" below), made for one
 * segment. This page is the map of its files; hnsw_private.h has the structures.
 *
 *   hnsw.c           life of the object, levels, memory, scratch
 *   hnsw_search.c    the walk (algorithm 2), descent and search (algorithm 5)
 *   hnsw_insert.c    insertion (algorithm 1) and the backbone
 *   hnsw_select.c    choice of neighbours (algorithm 4), back-links
 *   hnsw_io.c        save and map
 *   hnsw_verify.c    every promise below, checked
 *
 * Invariants
 * 1. Levels come from a hash of (seed, row): the order of insertion and the number of threads do not matter.
 * 2. Level 0 is connected at every moment: each node but the first is tied to an older one by a pair of opposite links that no pruning
 *    may drop (the backbone, marked in the links). The paper's graph has no such promise: pruning can cut nodes off.
 * 3. A node becomes visible, by the first link to it, after all its own lists are written.
 * 4. A list holds no row twice in a quiet index, never its own row, and ends at the first JADEI_HNSW_END or at its full length.
 * Threads: any number add and search. Searches take no lock but the one of the scratch list, once.
 */
#ifndef JADE_INDEX_HNSW_H
#define JADE_INDEX_HNSW_H

#include "index/index.h"

/** Level of a row: geometric with ratio 1 / m, from (seed, row) alone. */
uint32_t jadei_hnsw_level(uint64_t seed, uint32_t row, uint32_t m);

#endif
