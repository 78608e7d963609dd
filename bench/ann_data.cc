#include "ann_data.h"

#include <cstdio>

extern "C" {
#include "base/random.h"
}

namespace
{
uint32_t big_endian(const uint8_t *p)
{
    return uint32_t(p[0]) << 24 | uint32_t(p[1]) << 16 | uint32_t(p[2]) << 8 | uint32_t(p[3]);
}

// The first `want` images of a gzip IDX file, as floats.
bool read_images(const std::string &path, uint32_t want, uint32_t &dim, std::vector<float> &out)
{
    const std::string command = "gzip -dc '" + path + "'";
    std::FILE *pipe = popen(command.c_str(), "r");
    uint8_t head[16] = {0};
    bool ok = pipe && std::fread(head, 1, sizeof head, pipe) == sizeof head &&
              big_endian(head) == 0x803 && big_endian(head + 4) >= want;
    if (ok) {
        dim = big_endian(head + 8) * big_endian(head + 12);
        std::vector<uint8_t> pixels(size_t(want) * dim);
        ok = std::fread(pixels.data(), 1, pixels.size(), pipe) == pixels.size();
        out.assign(pixels.begin(), pixels.end());
    }
    if (pipe) {
        pclose(pipe); // gzip is stopped early on purpose
    }
    if (!ok) {
        std::fprintf(stderr, "%s: not readable as %u images (gzip IDX)\n", path.c_str(), want);
    }
    return ok;
}
} // namespace

bool ann_load_mnist(const std::string &folder, uint32_t n, uint32_t n_queries, AnnData &out)
{
    uint32_t query_dim = 0;
    out.name = n == 60000 ? "mnist784" : "mnist784-" + std::to_string(n / 1000) + "k";
    out.n = n;
    out.n_queries = n_queries;
    return read_images(folder + "/train-images-idx3-ubyte.gz", n, out.dim, out.base) &&
           read_images(folder + "/test-images-idx3-ubyte.gz", n_queries, query_dim, out.queries) &&
           query_dim == out.dim;
}

AnnData ann_make_clustered(uint32_t n, uint32_t dim, uint32_t n_queries, uint64_t seed)
{
    constexpr uint32_t clusters = 1000;
    constexpr double spread = 0.5;
    AnnData d;
    d.name = "clustered" + std::to_string(dim) + "-" + std::to_string(n / 1000) + "k";
    d.n = n;
    d.dim = dim;
    d.n_queries = n_queries;
    jade_random r;
    jade_random_init(&r, seed);
    std::vector<float> centres(size_t(clusters) * dim);
    for (float &x : centres) {
        x = float(jade_random_normal(&r));
    }
    auto fill = [&](std::vector<float> &out, uint32_t count) {
        out.resize(size_t(count) * dim);
        for (uint32_t row = 0; row < count; row++) {
            const float *centre = &centres[size_t(jade_random_below(&r, clusters)) * dim];
            for (uint32_t i = 0; i < dim; i++) {
                out[size_t(row) * dim + i] = centre[i] + float(spread * jade_random_normal(&r));
            }
        }
    };
    fill(d.base, n);
    fill(d.queries, n_queries);
    return d;
}
