// Data sets of the benchmark: MNIST-784 from IDX files, or generated clusters.
#ifndef JADE_BENCH_ANN_DATA_H
#define JADE_BENCH_ANN_DATA_H

#include <cstdint>
#include <string>
#include <vector>

struct AnnData {
    std::string name;
    uint32_t dim = 0, n = 0, n_queries = 0;
    std::vector<float> base, queries;
};

/** The first n training images and n_queries test images of the folder; false after a message. */
bool ann_load_mnist(const std::string &folder, uint32_t n, uint32_t n_queries, AnnData &out);
/** Gaussian clusters around Gaussian centres; the same for a seed on every machine. */
AnnData ann_make_clustered(uint32_t n, uint32_t dim, uint32_t n_queries, uint64_t seed);

#endif
