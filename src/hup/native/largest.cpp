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
    thread_local std::vector<hup::Place> found;
    const auto worth = [&](float value, int64_t at) {
        return std::find(lost, lost + n_lost, at) == lost + n_lost ? value : -INFINITY;
    };
    const auto of_known = [&](int64_t at) {
        return allowed && !allowed[at] ? -INFINITY : worth(known[at], at);
    };
    hup::largest(n, k, [&](int64_t first) { return hup::load(known + first); }, of_known, found);
    for (int64_t one = 0; one < n_own; ++one) {
        const float value = worth(own[one], n + one);
        if (value > -INFINITY) found.push_back({value, n + one});
    }
    const size_t most = std::min(found.size(), size_t(std::max<int64_t>(k, 0)));
    std::partial_sort(found.begin(), found.begin() + most, found.end(), hup::comes_before);
    found.resize(most);
    for (size_t at = 0; at < found.size(); ++at) {
        place[at] = found[at].at;
        score[at] = found[at].value;
    }
    return int64_t(found.size());
}
