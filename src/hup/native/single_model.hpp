// What a mixture answers one user from: tables of a model, and what is asked. Python fills these structures in
// (hup.models.hup.mixture.single.kernel); arrays are row-major and stay Python's.
#pragma once

#include <cstdint>

#include "coarse.hpp"
#include "trees.hpp"

namespace hup {

constexpr int RELATIONS = 3;

// Scores of visits (hup.nn.mixture.Attention).
struct Attention {
    const float *rule, *signals, *bias, *score;
    int64_t n_scores;
};

// What is counted near every code by one relation, row by row.
struct Near {
    const int64_t* bounds;
    const int32_t* codes;
    const float* counts;
};

struct Weights {
    float dense, similar, strength, reranking, trust;
};

// A learned order of the likeliest codes of a level.
struct RerankerTables {
    const float *mean, *spread, *first, *first_bias, *second, *second_bias, *last;
    int64_t n_signals, hidden, most;
};

struct LevelTables {
    int64_t size;  // known codes
    int64_t k;     // number of the category level, 0 = items
    Near near[RELATIONS];
    const double* totals;  // (size, RELATIONS)
    const float *runs, *popularity, *log_popularity;
    Attention pointer, neighbors;
    const float *context, *context_bias, *part, *part_bias;
    int64_t has[4];          // whether there are repeat, memory, popularity and unseen
    const int32_t* parents;  // (size,), codes of the next coarser level; null at the coarsest
    Tree targets;
    const float* vectors;  // (size, d), the targets' sums
    Coarse coarse;         // the same, nearly
    const RerankerTables* reranker;  // null = it has no learned order
};

// Profiles of training sessions, cluster by cluster.
struct SimilarTables {
    const float *kept, *centers;
    const int64_t *codes, *bounds;
    int64_t n_clusters, size, nearest;
    float temperature;
};

struct Model {
    const LevelTables* levels;  // finest first
    int64_t n_levels, n_categories, n_behaviors, n_signals, n_context, hidden, most_visits;
    const Weights* weights;  // of every level
    const SimilarTables* similar;
};

// The item runs of one session, the open one last, and what the pyramid makes of it.
struct Question {
    int64_t n_runs;
    const int64_t *item, *categories;            // (R,) and (R, K)
    const float *events, *dwell, *behaviors;     // (R,), (R,) and (R, n_behaviors)
    const float* earlier;                        // (R, 2), or null
    const float* const* profiles;                // of every level; null = it takes no part

    int64_t code(int64_t run, int64_t k, int64_t n_categories) const {
        return k ? categories[run * n_categories + k - 1] : item[run];
    }
};

}  // namespace hup
