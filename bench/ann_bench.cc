// Recall against queries per second of approximate search, ours beside hnswlib, in the same minutes on the same data.
//
//   ann_bench --out FILE.csv [--mnist FOLDER] [--mnist-rows N] [--clustered ROWS] [--queries N] [--rounds N]
//             [--m M] [--ef-construction N] [--threads N] [--only LIBRARY]
//
// Method: bench/README.md.
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "ann_data.h"
#include "ann_library.h"

namespace
{
constexpr uint32_t K = 10;
constexpr uint32_t EFFORTS[] = {10, 16, 24, 32, 48, 64, 100, 160, 256, 400};
constexpr uint64_t SEED = 20261123;

struct Options {
    std::string out, mnist, only;
    uint32_t mnist_rows = 60000, clustered = 0, queries = 1000, rounds = 3, m = 16,
             ef_construction = 200;
    uint32_t threads = std::max(1u, std::thread::hardware_concurrency());
};

double now(clockid_t clock)
{
    timespec t;
    clock_gettime(clock, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

struct Built {
    const ann_library *library;
    void *index;
    double build_cpu, build_wall, bytes;
};

struct Run {
    double recall, qps_cpu, qps_wall;
};

struct Truth {
    std::vector<uint32_t> ids;
    std::vector<float> distances;
};

float distance(const AnnData &d, const float *query, uint32_t row)
{
    double sum = 0;
    for (uint32_t i = 0; i < d.dim; i++) {
        double diff = double(query[i]) - double(d.base[size_t(row) * d.dim + i]);
        sum += diff * diff;
    }
    return float(sum);
}

// Tie-aware: an answer as near as the k-th exact one counts.
double recall_of(const AnnData &d, const Truth &truth, const std::vector<uint32_t> &answers)
{
    uint64_t found = 0;
    for (uint32_t q = 0; q < d.n_queries; q++) {
        float last = truth.distances[size_t(q) * K + K - 1];
        for (uint32_t j = 0; j < K; j++) {
            uint32_t row = answers[size_t(q) * K + j];
            found +=
                row < d.n && distance(d, &d.queries[size_t(q) * d.dim], row) <= last * (1 + 1e-6f)
                    ? 1
                    : 0;
        }
    }
    return double(found) / (double(d.n_queries) * K);
}

Run measure_one(const Built &b, const AnnData &d, const Truth &truth, uint32_t ef)
{
    std::vector<uint32_t> answers(size_t(d.n_queries) * K, UINT32_MAX);
    b.library->search(b.index, d.queries.data(), K, ef,
                      answers.data()); // sets the effort, warms the scratch
    double cpu = now(CLOCK_THREAD_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
    for (uint32_t q = 0; q < d.n_queries; q++) {
        b.library->search(b.index, &d.queries[size_t(q) * d.dim], K, ef, &answers[size_t(q) * K]);
    }
    cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
    wall = now(CLOCK_MONOTONIC) - wall;
    return {recall_of(d, truth, answers), d.n_queries / cpu, d.n_queries / wall};
}

double measure_many(const Built &b, const AnnData &d, uint32_t ef, uint32_t threads)
{
    std::atomic<uint32_t> next{0};
    uint32_t ids[K];
    b.library->search(b.index, d.queries.data(), K, ef, ids);
    auto work = [&] {
        uint32_t mine[K];
        for (uint32_t q; (q = next++) < d.n_queries;) {
            b.library->search(b.index, &d.queries[size_t(q) * d.dim], K, ef, mine);
        }
    };
    double wall = now(CLOCK_MONOTONIC);
    std::vector<std::thread> pool;
    for (uint32_t i = 1; i < threads; i++) {
        pool.emplace_back(work);
    }
    work();
    for (auto &t : pool) {
        t.join();
    }
    return d.n_queries / (now(CLOCK_MONOTONIC) - wall);
}

double median(std::vector<double> v)
{
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

void write_row(std::FILE *csv, const AnnData &d, const Built &b, const std::string &variant,
               uint32_t threads, double recall, double qps)
{
    std::fprintf(csv, "%s,%s,%s,%u,%.5f,%.1f,%.2f,%.1f\n", d.name.c_str(), b.library->name,
                 variant.c_str(), threads, recall, qps, b.build_cpu, b.bytes / d.n);
}

void measure_all(std::FILE *csv, const Options &o, const AnnData &d, const Truth &truth,
                 const std::vector<Built> &built)
{
    const std::string variant =
        "M" + std::to_string(o.m) + "-efC" + std::to_string(o.ef_construction);
    for (uint32_t ef : EFFORTS) {
        std::vector<std::vector<double>> cpu(built.size()), wall(built.size()), many(built.size());
        std::vector<double> recall(built.size());
        for (uint32_t round = 0; round < o.rounds;
             round++) { // peers interleaved: neighbours disturb both alike
            for (size_t i = 0; i < built.size(); i++) {
                Run run = measure_one(built[i], d, truth, ef);
                recall[i] = run.recall;
                cpu[i].push_back(run.qps_cpu);
                wall[i].push_back(run.qps_wall);
                many[i].push_back(o.threads > 1 ? measure_many(built[i], d, ef, o.threads)
                                                : run.qps_wall);
            }
        }
        for (size_t i = 0; i < built.size(); i++) {
            write_row(csv, d, built[i], variant + "-cpu", 1, recall[i], median(cpu[i]));
            write_row(csv, d, built[i], variant + "-wall", 1, recall[i], median(wall[i]));
            if (o.threads > 1) {
                write_row(csv, d, built[i], variant + "-wall", o.threads, recall[i],
                          median(many[i]));
            }
            std::printf(
                "%-18s %-8s ef %4u  recall %.4f  QPS %9.0f cpu %9.0f wall %9.0f on %u threads\n",
                d.name.c_str(), built[i].library->name, ef, recall[i], median(cpu[i]),
                median(wall[i]), median(many[i]), o.threads);
        }
        std::fflush(stdout);
    }
}

bool run(std::FILE *csv, const Options &o, const AnnData &d)
{
    ann_setup setup = {d.base.data(), d.n, d.dim, o.m, o.ef_construction, 1};
    Truth truth;
    truth.ids.resize(size_t(d.n_queries) * K);
    truth.distances.resize(size_t(d.n_queries) * K);
    if (ann_exact(&setup, d.queries.data(), d.n_queries, K, truth.ids.data(),
                  truth.distances.data()) != 0) {
        return false;
    }
    std::vector<Built> built;
    for (const ann_library *library : {&ann_jade, &ann_hnswlib}) {
        if (!o.only.empty() && o.only != library->name) {
            continue;
        }
        Built b = {library, nullptr, 0, 0, 0};
        double cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
        b.index = library->build(&setup);
        if (!b.index) {
            return false;
        }
        b.build_cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        b.build_wall = now(CLOCK_MONOTONIC) - wall;
        b.bytes = library->bytes(b.index);
        std::printf("%-18s %-8s built %u x %u in %.1f s cpu, %.1f s wall, %.0f bytes a vector\n",
                    d.name.c_str(), library->name, d.n, d.dim, b.build_cpu, b.build_wall,
                    b.bytes / d.n);
        std::fflush(stdout);
        built.push_back(b);
    }
    measure_all(csv, o, d, truth, built);
    for (const Built &b : built) {
        b.library->free(b.index);
    }
    return true;
}

bool parse(int argc, char **argv, Options &o)
{
    std::map<std::string, std::string *> texts = {
        {"--out", &o.out}, {"--mnist", &o.mnist}, {"--only", &o.only}};
    std::map<std::string, uint32_t *> numbers = {{"--mnist-rows", &o.mnist_rows},
                                                 {"--clustered", &o.clustered},
                                                 {"--queries", &o.queries},
                                                 {"--rounds", &o.rounds},
                                                 {"--m", &o.m},
                                                 {"--ef-construction", &o.ef_construction},
                                                 {"--threads", &o.threads}};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (texts.count(argv[i])) {
            *texts[argv[i]] = argv[i + 1];
        } else if (numbers.count(argv[i])) {
            *numbers[argv[i]] = uint32_t(std::strtoul(argv[i + 1], nullptr, 10));
        } else {
            std::fprintf(stderr, "unknown option %s\n", argv[i]);
            return false;
        }
    }
    return argc % 2 == 1 && !o.out.empty() && o.rounds > 0 && o.queries > 0 &&
           (!o.mnist.empty() || o.clustered > 0);
}
} // namespace

int main(int argc, char **argv)
{
    Options o;
    if (!parse(argc, argv, o)) {
        std::fprintf(
            stderr,
            "usage: ann_bench --out FILE.csv [--mnist FOLDER] [--mnist-rows N] [--clustered ROWS] [--queries N] "
            "[--rounds N] [--m M] [--ef-construction N] [--threads N] [--only LIBRARY]\n");
        return 2;
    }
    std::FILE *csv = std::fopen(o.out.c_str(), "w");
    if (!csv) {
        std::perror(o.out.c_str());
        return 1;
    }
    std::fprintf(csv, "dataset,library,variant,threads,recall,qps,build_s,bytes_per_vector\n");
    bool ok = true;
    if (!o.mnist.empty()) {
        AnnData d;
        ok = ann_load_mnist(o.mnist, o.mnist_rows, o.queries, d) && run(csv, o, d);
    }
    if (ok && o.clustered > 0) {
        ok = run(csv, o, ann_make_clustered(o.clustered, 128, o.queries, SEED));
    }
    ok = std::fclose(csv) == 0 && ok;
    return ok ? 0 : 1;
}
