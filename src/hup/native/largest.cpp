// The best of one row of scores; the twin is hup.recommender.best.best_columns.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "largest.hpp"

// Scores of the vocabulary (n,) and of n_own others behind them. What `allowed` (n,) is 0 for, where it is not null, and
// the places `lost` are no candidates. Fills in at most k places and scores, best first, and gives their number.
extern "C" int64_t hup_largest(const float* known, int64_t n, const float* own, int64_t n_own, const uint8_t* allowed,
                               const int64_t* lost, int64_t n_lost, int64_t k, int64_t* place, float* score) {
    thread_local std::vector<float> values;
    thread_local std::vector<hup::Place> found;
    values.assign(known, known + n);
    values.insert(values.end(), own, own + n_own);
    if (allowed)
        for (int64_t at = 0; at < n; ++at)
            if (!allowed[at]) values[at] = -INFINITY;
    for (int64_t one = 0; one < n_lost; ++one) values[lost[one]] = -INFINITY;
    hup::largest(values.data(), n + n_own, k, found);
    for (size_t at = 0; at < found.size(); ++at) {
        place[at] = found[at].at;
        score[at] = found[at].value;
    }
    return int64_t(found.size());
}
