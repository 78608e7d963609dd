// hnswlib behind the benchmark's interface. The only file built with -march=native: the peer gets the best its compiler can do.
#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "ann_library.h"
#include "hnswlib/hnswlib.h"

namespace
{
struct Bench {
    hnswlib::L2Space space;
    hnswlib::HierarchicalNSW<float> graph;
    explicit Bench(const ann_setup &s) : space(s.dim), graph(&space, s.n, s.m, s.ef_construction)
    {
    }
};

void *build(const ann_setup *s)
{
    try {
        auto bench = std::make_unique<Bench>(*s);
        std::atomic<uint32_t> next{0};
        auto work = [&] {
            for (uint32_t row; (row = next++) < s->n;) {
                bench->graph.addPoint(s->base + size_t(row) * s->dim, row);
            }
        };
        std::vector<std::thread> threads;
        for (uint32_t i = 1; i < s->threads; i++) {
            threads.emplace_back(work);
        }
        work();
        for (auto &t : threads) {
            t.join();
        }
        return bench.release();
    } catch (const std::exception &e) {
        std::fprintf(stderr, "hnswlib: %s\n", e.what());
        return nullptr;
    }
}

uint32_t search(void *index, const float *query, uint32_t k, uint32_t ef, uint32_t *ids_out)
{
    auto *bench = static_cast<Bench *>(index);
    if (bench->graph.ef_ != ef) {
        bench->graph.setEf(ef); // the driver makes the first search of a setting alone
    }
    auto found = bench->graph.searchKnn(query, k);
    uint32_t n = uint32_t(found.size());
    for (uint32_t i = n; i-- > 0; found.pop()) {
        ids_out[i] = uint32_t(found.top().second);
    }
    return n;
}

double bytes(void *index)
{
    return double(static_cast<Bench *>(index)->graph.indexFileSize());
}

void destroy(void *index)
{
    delete static_cast<Bench *>(index);
}
} // namespace

const ann_library ann_hnswlib = {"hnswlib", build, search, bytes, destroy};
