// The largest of many numbers; of equal ones those that stand first.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "simd.hpp"

namespace hup {

struct Place {
    float value;
    int64_t at;
};

inline bool comes_before(const Place& x, const Place& y) {
    return x.value > y.value || (x.value == y.value && x.at < y.at);
}

// The k largest of n numbers, largest first; fewer where there are fewer. What is -inf, or no number, is none of them.
// `several` gives what none of WIDTH numbers from one on exceeds, `one_of` a single one.
template <class Several, class OneOf>
void largest(int64_t n, int64_t k, Several several, OneOf one_of, std::vector<Place>& found) {
    found.clear();
    if (k <= 0) return;
    const size_t room = size_t(std::max<int64_t>(2 * k, 64));
    float least = -INFINITY;  // what does not exceed it is none of them
    const auto look = [&](int64_t at) {
        const float value = one_of(at);
        if (!(value > least)) return;
        found.push_back({value, at});
        if (found.size() < room) return;
        std::nth_element(found.begin(), found.begin() + (k - 1), found.end(), comes_before);
        found.resize(k);
        least = found.back().value;
    };
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        if (any(several(i) > all(least)))
            for (int j = 0; j < WIDTH; ++j) look(i + j);
    for (; i < n; ++i) look(i);
    const size_t kept = std::min(found.size(), size_t(k));
    std::partial_sort(found.begin(), found.begin() + kept, found.end(), comes_before);
    found.resize(kept);
}

inline void largest(const float* values, int64_t n, int64_t k, std::vector<Place>& found) {
    largest(n, k, [&](int64_t i) { return load(values + i); }, [&](int64_t i) { return values[i]; }, found);
}

}  // namespace hup
